//! The control plane through its front doors: the REST API over HTTP and the fleet protocol over gRPC.
//!
//! Every test that touches the database runs on SQLite and on PostgreSQL.

#[macro_use]
mod fixture;

mod terraform;
