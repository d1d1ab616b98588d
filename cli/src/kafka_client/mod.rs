//! A small Kafka client for `topic produce` and `topic consume`, on Millstream's own protocol crate.
//!
//! Promises bounds on everything that a broker sends and a time limit on every answer. Speaks to any Kafka broker with
//! SASL PLAIN, not only to Millstream. Never prints anything and never logs a record or a secret.

pub mod cluster;
pub mod connection;
pub mod consumer;
pub mod error;
pub mod group;
pub mod partitioner;
pub mod producer;
mod transport;
