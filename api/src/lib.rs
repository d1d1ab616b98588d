//! What every plane of Millstream shares: ids, REST wire types and the fleet protocol.
//!
//! Promises: the types here are exactly what goes over a wire or into a file. Parsing is strict and bounded.
//! Never does I/O, never decides anything, never depends on a plane.

pub mod broker_file;
pub mod crn;
pub mod fleet;
pub mod ids;
pub mod kafka_rest;
pub mod plan;
pub mod rest;
pub mod role;
