//! The commands, one file per noun.
//!
//! Each turns flags into requests of the public REST API (or the Kafka protocol) and prints the answer. None decides
//! anything that the service should decide.

pub mod admin;
pub mod api_key;
pub mod client_config;
pub mod cluster;
mod delete;
pub mod environment;
pub mod role_binding;
pub mod service_account;
pub mod session;
pub mod topic;
pub mod verify;
pub mod version;

use crate::login::Login;
use crate::output::Output;

/// What every command needs.
pub struct Context {
    pub login: Login,
    pub output: Output,
}
