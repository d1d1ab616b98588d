//! Whole-system tests with clients that nobody here wrote.
//!
//! Each suite is a program in its own folder beside this crate (Java, Go, Python, shell tools); this crate builds it, starts the
//! server it talks to, runs it and reads its count. It promises that nothing it starts outlives it and that nothing is written into
//! the repository. It never looks inside the server: suites see what a user sees.
pub mod agent;
pub mod broker;
pub mod cache;
pub mod certificates;
pub mod context;
pub mod files;
pub mod image;
pub mod kafka;
pub mod kube;
pub mod millstream;
pub mod need;
pub mod object_store;
pub mod outcome;
pub mod postgres;
pub mod process;
pub mod replica;
pub mod rest;
pub mod server;
pub mod suites;
pub mod wire;
