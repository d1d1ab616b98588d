//! Background work. What each replica does for itself is safe to run at several at once; what one does for all runs under
//! a lease.

pub mod audit_writer;
pub mod clean_up;
pub mod config_heads;
pub mod deadlines;
pub mod driver;
pub mod leased;
pub mod notifications;
pub mod recount;
