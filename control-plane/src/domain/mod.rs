//! Decisions: pure functions and the types they speak of. Never reads a clock, a database or a network.

pub mod api_key;
pub mod authorization;
pub mod client_quota;
pub mod cluster;
pub mod crn;
pub mod lifecycle;
pub mod names;
pub mod page;
pub mod placement;
pub mod quota;
pub mod regions;
pub mod repetition;
pub mod role_binding;
pub mod timestamp;
pub mod token_bucket;
pub mod user;
