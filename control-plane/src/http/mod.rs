//! The public HTTP listener: one file per endpoint, one list of routes.
//!
//! Promises: each answer carries `X-Request-Id` and what is left of the caller's rate; each error has the error form of its group; an id of another
//! organization is answered exactly like an id that does not exist. Never answers 5xx after something was stored.

pub mod answers;
pub mod api_keys;
mod applied_quotas;
pub mod audit;
pub mod body;
pub mod call;
pub mod caller;
pub mod client_quotas;
pub mod cloud_metrics;
pub mod clusters;
pub mod credentials;
pub mod delivery;
pub mod detach;
pub mod entity_tag;
pub mod environments;
pub mod error;
pub mod health;
pub mod idempotency;
pub mod kafka;
pub mod lists;
pub mod objects;
pub mod openapi;
pub mod operations;
pub mod organizations;
pub mod parameters;
pub mod path;
pub mod propagation;
pub mod quota_scopes;
pub mod rate_limit;
pub mod request_id;
pub mod role_bindings;
pub mod router;
pub mod service_accounts;
pub mod sessions;
pub mod users;
