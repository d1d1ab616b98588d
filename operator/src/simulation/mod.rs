//! A world for tests: an API server in memory, what Kubernetes does by itself, brokers, people, and a clock that is
//! moved by hand. The operator is killed at any of its requests.

mod api_server;
mod bad_input;
mod runs;
mod variants;
mod world;

pub use api_server::ApiServer;
