//! Groups: membership by the classic protocol, and committed offsets.
//!
//! `classic` decides, `offsets` remembers, `shard` writes both down, `coordinator` is the asynchronous edge.
//! Every key begins with the tenant: equal group names of two tenants never meet.

pub mod classic;
pub mod config;
pub mod coordinator;
pub mod error;
pub mod journal;
pub mod log_journal;
pub mod moment;
pub mod offsets;
pub mod record;
pub mod shard;
pub mod snapshot;
pub mod subscription;
