//! The database: SQLite in one process, PostgreSQL with any number of replicas.
//!
//! Promises: every function on tenant data takes an `OrgScope` and sees only rows of that organization; a change that
//! brokers must learn of writes its config events in the same transaction. Never decides: callers pass values that
//! are already checked. Never holds a transaction across anything but SQL.

#[macro_use]
mod database;

pub mod agent_sessions;
pub mod api_keys;
pub mod audit_events;
pub mod broker_sessions;
pub mod client_quotas;
pub mod config_log;
pub mod environments;
pub mod error;
pub mod idempotency;
pub mod installation;
pub mod logical_clusters;
pub mod migrations;
pub mod organizations;
pub mod page;
pub mod phases;
pub mod physical_clusters;
pub mod principals;
pub mod quota_objects;
pub mod quota_recount;
pub mod quotas;
pub mod recent_posts;
pub mod reservation_recount;
pub mod role_bindings;
pub mod service_accounts;
pub mod sessions;
pub mod shard;
#[cfg(test)]
pub mod two_replicas;
pub mod users;
pub mod work_leases;

pub use database::{Database, DatabaseUrl, OpenDatabaseError, Transaction};
