//! kafka/v3, the REST API of one Kafka cluster: which operations there are, and what they take and answer.
//!
//! Promises: one table, [`endpoints::ENDPOINTS`], lists every operation. Brokers route by it, and the control plane, which
//! forwards to them, makes its OpenAPI document and the names in its audit log from it. Paths, operation ids and fields are
//! those of Confluent Cloud's public API. Never validates beyond JSON types: brokers decide what is acceptable.

pub mod acl;
pub mod cluster;
pub mod config;
pub mod consumer_group;
pub mod endpoint;
pub mod endpoints;
pub mod envelope;
pub mod lag;
pub mod partition;
pub mod record;
pub mod topic;

/// What every path begins with.
pub const PREFIX: &str = "/kafka/v3";
