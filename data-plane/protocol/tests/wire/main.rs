//! The generated codec against itself, against hostile bytes, and against a codec that somebody else wrote.

#![allow(clippy::unwrap_used)]

mod agreement;
mod fuzz;
mod hostile;
mod round_trip;
mod sampler;
mod samples;
mod unknown_fields;
