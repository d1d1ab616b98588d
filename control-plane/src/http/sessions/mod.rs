//! `/iam/v2/sessions`: logging in with a password. Not in Confluent's public API.

pub mod create;
pub mod delete;
pub mod keys;
