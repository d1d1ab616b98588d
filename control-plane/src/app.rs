//! What the parts of one control-plane replica share. It only holds them: behaviour lives in the parts.

use std::sync::Arc;

use millstream_api::ids::PhysicalClusterId;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control_plane::AgentCertificates;
use crate::domain::timestamp::Clock;
use crate::fleet::connected_agents::ConnectedAgents;
use crate::fleet::forwarders::Forwarders;
use crate::fleet::propagation::Propagation;
use crate::http::delivery::Answers;
use crate::http::operations::Operations;
use crate::http::rate_limit::RateLimits;
use crate::login_attempts::LoginAttempts;
use crate::monitoring::metrics::Metrics;
use crate::passwords::Passwords;
use crate::secrets::InstallationSecrets;
use crate::store::Database;
use crate::tasks::audit_writer::AuditLog;

/// The parts of one replica.
pub struct App {
    /// The database.
    pub database: Database,
    /// Keys of this installation.
    pub secrets: InstallationSecrets,
    /// What agents present.
    pub agent_token: String,
    /// What agents show beside it.
    pub agent_certificates: AgentCertificates,
    /// Where the time comes from.
    pub clock: Clock,
    /// Tells this replica from others on the same database.
    pub replica_id: String,
    /// How clients reach the HTTP listener, without a slash at the end.
    pub public_url: String,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// How often passwords were tried.
    pub login_attempts: LoginAttempts,
    /// How far brokers are.
    pub propagation: Propagation,
    /// Agents that are connected here.
    pub agents: Arc<ConnectedAgents>,
    /// Streams on which brokers take HTTP requests.
    pub forwarders: Forwarders,
    /// How many requests each caller has left.
    pub rate_limits: RateLimits,
    /// Permits of requests that may change something.
    pub changes_in_progress: Arc<Semaphore>,
    /// Takes in what is recorded of each request.
    pub audit_log: AuditLog,
    /// How long the audit log keeps an event.
    pub audit_retention_days: u32,
    /// What became of the answers of this replica.
    pub answers: Answers,
    /// What this replica counts for whoever operates it.
    pub metrics: Metrics,
    /// Changes when it is known what became of answers of any replica.
    pub answers_settled: watch::Sender<u64>,
    /// Ids of the operations of the public API.
    pub operations: Operations,
    /// Wakes the background task.
    pub driver_wake: Notify,
    /// Cancelled when this replica stops.
    pub shutdown: CancellationToken,
    /// Owner of every spawned task.
    pub tasks: TaskTracker,
}

/// Changes that were committed and must reach brokers.
pub type Announced = Vec<(PhysicalClusterId, u64)>;
