//! The log through its front door: every test opens a log in a directory of its own and uses what other crates use.

#![allow(clippy::unwrap_used)]

mod append;
mod crash;
mod disk_full;
mod kill;
mod model;
mod open;
mod producers;
mod read;
mod retention;
mod support;
mod timestamps;
mod transactions;
mod truncate;
