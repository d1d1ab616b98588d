//! The edge to Kafka clients: sockets, frames, TLS. Knows no Kafka API; `crate::api` does.

pub(crate) mod connection;
pub(crate) mod frames;
pub(crate) mod listener;
pub(crate) mod output;
pub(crate) mod socket;
