//! The cluster metadata of one physical cluster: which topics, partitions, configs, ACLs, brokers and producer
//! ids exist.
//!
//! Three layers, each usable without the next:
//! * [`acl`], [`records`], [`image`], [`delta`], [`snapshot`]: the data. Pure, no I/O, no clock.
//! * [`decide`]: the decisions of the metadata controller. Pure functions from an image and a request to records.
//! * [`raft`]: one raft group that keeps the records, fsynced, and publishes an image after each commit.
//!
//! Promises: a record that was acknowledged survives `kill -9`; applying the records of an image gives that image;
//! every key holds the tenant. Never does: partition data, consumer offsets, network connections of its own.

pub mod acl;
mod codec;
pub mod decide;
pub mod delta;
pub mod image;
pub mod raft;
pub mod records;
pub mod snapshot;
pub mod topic_config;
pub mod topic_name;
