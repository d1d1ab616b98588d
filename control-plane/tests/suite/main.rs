//! The control plane through its front doors: the REST API over HTTP and the fleet protocol over gRPC.
//!
//! Every test that touches the database runs on SQLite and on PostgreSQL.

#[macro_use]
mod fixture;

mod agent_fencing;
mod api_keys;
mod audit;
mod authentication;
mod client_quotas;
mod cloud_metrics;
mod clusters;
mod config_stream;
mod config_stream_random;
mod dedicated_clusters;
mod entity_tags;
mod environments;
mod failures;
mod fleet;
mod fleet_certificates;
mod forged_tokens;
mod idempotency;
mod isolation;
mod kafka_rest;
mod leases;
mod lists;
mod lost_answers;
mod malformed;
mod monitoring;
mod openapi;
mod principals;
mod propagation;
mod quotas;
mod races;
mod rate_limits;
mod replicas;
mod reservations;
mod role_bindings;
mod role_matrix;
mod row_security;
mod service_accounts;
mod service_quotas;
mod sessions;
mod starting;
mod terraform;
mod upgrade;
mod users;
