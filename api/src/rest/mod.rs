//! REST wire types of the public API: what clients send and what the control plane answers.
//!
//! Promises: field names and JSON types are those of Confluent Cloud's public API, so that its clients work unchanged;
//! absent optional fields are left out and never written as `null`. Never validates beyond JSON types: the control
//! plane decides what is acceptable.

pub mod audit;
pub mod cmk;
pub mod envelope;
pub mod errors;
pub mod iam;
pub mod kafka_quotas;
pub mod org;
pub mod propagation;
pub mod service_quota;
