//! The Kafka broker: network, one file per Kafka API, coordinators, authentication, HTTP.
//!
//! Promises: what was acknowledged survives the death of the process; a tenant sees only itself; with the
//! control plane dead the broker serves, restarts and authenticates. Never opens a connection to the control
//! plane that it would have to wait for, and never listens to anybody but clients.

mod acls;
mod api;
mod authorized_operations;
mod authorizer;
mod broker;
mod broker_settings;
pub mod bucket_purge;
mod clock;
pub mod config;
mod connections;
pub mod data_dir;
pub mod fleet;
#[cfg(test)]
mod front_door;
pub mod groups;
mod http;
mod limits;
mod metadata_backup;
mod metering;
mod metrics;
mod network;
mod object_store;
mod partition;
mod partitions;
mod producer_ids;
mod quotas;
mod session;
pub mod start;
mod tenants;
mod topic_settings;
mod topics;
