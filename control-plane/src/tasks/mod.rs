//! Background work of one replica. Each task is safe to run at several replicas at once.

pub mod audit_writer;
pub mod driver;
pub mod notifications;
pub mod recount;
