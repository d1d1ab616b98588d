//! The control plane: organizations, environments, clusters, service accounts and API keys, behind a REST API; and the
//! fleet protocol, by which agents and brokers learn of them.
//!
//! Promises: what was answered with success is in the database; a Kafka key works at every live broker when its POST is
//! answered. Opens no connection into a data plane: agents and brokers dial in.

mod admin;
mod app;
mod authentication;
mod bootstrap;
mod control_plane;
mod domain;
mod fleet;
mod http;
mod login_attempts;
mod monitoring;
mod observed_stream;
mod passwords;
mod random;
mod secrets;
mod server;
mod session_tokens;
mod shared_tcp_stream;
mod store;
mod tasks;

pub use admin::{QuotaChange, SetQuotaError, set_quota};
pub use bootstrap::{BootstrapError, Bootstrapped, FirstCredentials, FirstLogin};
pub use control_plane::{AgentCertificates, Config, ControlPlane, DEFAULT_AUDIT_RETENTION_DAYS, FleetTls, StartError};
pub use domain::authorization;
pub use domain::token_bucket::Rate;
pub use domain::user::{UserError, normalize_email};
pub use http::rate_limit::RequestRates;
pub use http::router::openapi_document;
pub use secrets::{SECRET_BYTES, SecretsError, SecretsSource};
pub use store::{DatabaseUrl, OpenDatabaseError};
