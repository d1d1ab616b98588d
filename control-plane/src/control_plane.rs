//! Starting and stopping one replica.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::app::App;
use crate::domain::timestamp::Clock;
use crate::fleet::forwarders::Forwarders;
use crate::fleet::propagation::Propagation;
use crate::http::delivery::Answers;
use crate::http::rate_limit::{RateLimits, RequestRates};
use crate::login_attempts::LoginAttempts;
use crate::monitoring::metrics::Metrics;
use crate::passwords::Passwords;
use crate::random::{self, RandomError};
use crate::secrets::{InstallationSecrets, SecretsError, SecretsSource, same_secret};
use crate::server::{Protocols, serve, tls_acceptor};
use crate::store::error::StoreError;
use crate::store::{Database, DatabaseUrl, OpenDatabaseError, installation, work_leases};
use crate::tasks::audit_writer::AuditLog;
use crate::tasks::{clean_up, deadlines, leased, recount};
use crate::{fleet, http, monitoring, tasks};

/// Days for which the audit log keeps an event unless told otherwise.
pub const DEFAULT_AUDIT_RETENTION_DAYS: u32 = 90;

/// What one replica needs.
pub struct Config {
    /// Where the database is.
    pub database: DatabaseUrl,
    /// Where the public HTTP API listens.
    pub http_listener: TcpListener,
    /// Where agents and brokers dial in.
    pub fleet_listener: TcpListener,
    /// Where this replica answers `/livez`, `/readyz` and `/metrics`, in plain text and to everybody; none to be silent.
    pub monitoring_listener: Option<TcpListener>,
    /// How clients reach the HTTP listener, such as `http://127.0.0.1:8080`.
    pub public_url: String,
    /// What agents present.
    pub agent_token: String,
    /// Where the installation's root secret comes from.
    pub secrets: SecretsSource,
    /// How many requests a caller may send.
    pub request_rates: RequestRates,
    /// Days for which the audit log keeps an event.
    pub audit_retention_days: u32,
    /// Certificate and key of the public listener; none for plain text.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// TLS of the listener for agents and brokers; none for plain text.
    pub fleet_tls: Option<FleetTls>,
}

/// TLS of the listener for agents and brokers.
#[derive(Clone)]
pub struct FleetTls {
    /// Its certificate and key, and the authorities of client certificates if those are verified.
    pub server: Arc<rustls::ServerConfig>,
    /// What agents show beside their token.
    pub agent_certificates: AgentCertificates,
}

/// Whether an agent must show a certificate. Brokers need none: their token is that of one physical cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentCertificates {
    /// The token is enough.
    NotNeeded,
    /// A verified certificate whose DNS name is the agent's id.
    Required,
}

/// Why a replica did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] OpenDatabaseError),
    /// The database failed after it was opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The root secret is not to be had.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The database belongs to another root secret: no API key would verify.
    #[error("the database was written with another installation secret: restore the secret that belongs to it")]
    SecretsMismatch,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// An empty token would let anybody in.
    #[error("the agent token must not be empty")]
    EmptyAgentToken,
    /// A listener cannot be used.
    #[error("a listener cannot be used")]
    Listener(#[source] std::io::Error),
}

/// One running replica.
pub struct ControlPlane {
    pub(crate) app: Arc<App>,
    audit_stop: CancellationToken,
    audit_writer: JoinHandle<()>,
    http_address: SocketAddr,
    fleet_address: SocketAddr,
    monitoring_address: Option<SocketAddr>,
}

impl ControlPlane {
    /// Opens the database and starts to serve. Must be called within a tokio runtime.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if config.agent_token.is_empty() {
            return Err(StartError::EmptyAgentToken);
        }
        let http_address = config.http_listener.local_addr().map_err(StartError::Listener)?;
        let fleet_address = config.fleet_listener.local_addr().map_err(StartError::Listener)?;
        let http_listener = to_tokio(config.http_listener)?;
        let fleet_listener = to_tokio(config.fleet_listener)?;
        let monitoring_address = config.monitoring_listener.as_ref().map(TcpListener::local_addr).transpose();
        let monitoring_address = monitoring_address.map_err(StartError::Listener)?;
        let monitoring_listener = config.monitoring_listener.map(to_tokio).transpose()?;
        let database = Database::open(&config.database).await?;
        let secrets = InstallationSecrets::load(&config.secrets)?;
        let clock = Clock::system();
        check_installation(&database, &secrets, clock).await?;
        let audit_stop = CancellationToken::new();
        let (audit_log, audit_writer) = AuditLog::new(audit_stop.clone());
        let app = Arc::new(App {
            database,
            secrets,
            agent_token: config.agent_token,
            agent_certificates: config
                .fleet_tls
                .as_ref()
                .map_or(AgentCertificates::NotNeeded, |tls| tls.agent_certificates),
            clock,
            replica_id: uuid::Uuid::from_bytes(random::bytes()?).to_string(),
            public_url: config.public_url.trim_end_matches('/').to_owned(),
            passwords: Passwords::default(),
            login_attempts: LoginAttempts::default(),
            propagation: Propagation::default(),
            agents: Arc::default(),
            forwarders: Forwarders::default(),
            rate_limits: RateLimits::new(config.request_rates),
            changes_in_progress: http::detach::permits(),
            audit_log,
            audit_retention_days: config.audit_retention_days,
            answers: Answers::default(),
            answers_settled: tokio::sync::watch::Sender::new(0),
            metrics: Metrics::default(),
            operations: http::router::operation_ids(),
            driver_wake: tokio::sync::Notify::new(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let audit_writer = tokio::spawn(tasks::audit_writer::write(Arc::clone(&app), audit_writer));
        app.tasks.spawn(tasks::driver::run(Arc::clone(&app)));
        app.tasks.spawn(leased::run(Arc::clone(&app), clean_up::WORK, clean_up::remove_old));
        app.tasks.spawn(leased::run(Arc::clone(&app), deadlines::WORK, deadlines::enforce));
        app.tasks.spawn(leased::run(Arc::clone(&app), recount::WORK, recount::run));
        app.tasks.spawn(tasks::config_heads::run(Arc::clone(&app)));
        if let Some(pool) = app.database.shared_pool() {
            app.tasks.spawn(tasks::notifications::run(Arc::clone(&app), pool.clone()));
        }
        let shutdown = &app.shutdown;
        let http_tls = config.tls.as_ref().map(|tls| tls_acceptor(tls, Protocols::Http));
        let fleet_tls = config.fleet_tls.as_ref().map(|tls| tls_acceptor(&tls.server, Protocols::Grpc));
        app.tasks.spawn(serve(http_listener, http_tls, http::router::router(&app), shutdown.clone()));
        app.tasks.spawn(serve(fleet_listener, fleet_tls, fleet::service::routes(&app), shutdown.clone()));
        if let Some(listener) = monitoring_listener {
            app.tasks.spawn(serve(listener, None, monitoring::router(&app), shutdown.clone()));
        }
        info!(%http_address, %fleet_address, "control plane listens on {http_address}, for the fleet on {fleet_address}");
        Ok(Self { app, audit_stop, audit_writer, http_address, fleet_address, monitoring_address })
    }

    /// Where the public HTTP API listens.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Where agents and brokers dial in.
    pub fn fleet_address(&self) -> SocketAddr {
        self.fleet_address
    }

    /// Where whoever operates this replica asks how it does.
    pub fn monitoring_address(&self) -> Option<SocketAddr> {
        self.monitoring_address
    }

    /// Counts again what the quota counters count. Returns the codes of those that are wrong.
    pub async fn wrong_quota_counters(&self) -> Result<Vec<String>, StoreError> {
        let found = recount::find(&self.app.database).await?;
        Ok(found.miscounts.into_iter().map(|miscount| format!("{} {}", miscount.code, miscount.scope_id)).collect())
    }

    /// Stops: no new connections, requests in flight finish, the database is closed.
    pub async fn shutdown(self) {
        self.app.shutdown.cancel();
        self.app.tasks.close();
        self.app.tasks.wait().await;
        // The last requests are answered: nothing more comes into the audit log.
        self.audit_stop.cancel();
        if let Err(error) = self.audit_writer.await {
            error!(%error, "the audit log's writer ended badly");
        }
        if let Err(error) = work_leases::release_all(&self.app.database, &self.app.replica_id).await {
            warn!(error = &error as &dyn std::error::Error, "others take over the work of this replica a moment later");
        }
        self.app.database.close().await;
    }
}

/// The first epoch is the time at which the database was made: another database has another one.
async fn check_installation(
    database: &Database,
    secrets: &InstallationSecrets,
    clock: Clock,
) -> Result<(), StartError> {
    let now = clock.now();
    let new_epoch = u64::try_from(now.0).unwrap_or(1).max(1);
    let mut transaction = database.write().await?;
    let check = secrets.check_value();
    let installation = installation::load_or_create(&mut transaction, new_epoch, &check, now).await?;
    transaction.commit().await?;
    if !same_secret(&installation.secrets_check, &check) {
        return Err(StartError::SecretsMismatch);
    }
    Ok(())
}

fn to_tokio(listener: TcpListener) -> Result<tokio::net::TcpListener, StartError> {
    listener.set_nonblocking(true).map_err(StartError::Listener)?;
    tokio::net::TcpListener::from_std(listener).map_err(StartError::Listener)
}
