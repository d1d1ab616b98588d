//! Starting and stopping one replica.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use millstream_api::crn::{CrnPattern, Scope};
use millstream_api::ids::{ApiKeyId, OrganizationId, RoleBindingId, UserId};
use millstream_api::rest::iam::Secret;
use millstream_api::role::Role;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};

use crate::app::App;
use crate::domain::api_key::secret_from_random;
use crate::domain::names;
use crate::domain::quota::{self, Share};
use crate::domain::timestamp::Clock;
use crate::domain::user::{UserError, normalize_email};
use crate::fleet::forwarders::Forwarders;
use crate::fleet::propagation::Propagation;
use crate::http::delivery::LostAnswers;
use crate::http::rate_limit::{RateLimits, RequestRates};
use crate::login_attempts::LoginAttempts;
use crate::passwords::{PasswordError, Passwords};
use crate::random::{self, RandomError};
use crate::secrets::{InstallationSecrets, SecretsError, SecretsSource, same_secret};
use crate::server::{Protocols, serve, tls_acceptor};
use crate::store::error::StoreError;
use crate::store::quotas::TakeError;
use crate::store::{
    Database, DatabaseUrl, OpenDatabaseError, api_keys, installation, organizations, quotas, role_bindings, users,
};
use crate::tasks::audit_writer::AuditLog;
use crate::{fleet, http, tasks};

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
    /// Certificate and key of both listeners; none for plain text.
    pub tls: Option<Arc<rustls::ServerConfig>>,
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

/// Why an organization was not made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The name is not acceptable.
    #[error("the organization's name {0}")]
    Name(#[from] names::TextError),
    /// The first user's e-mail address is not acceptable.
    #[error(transparent)]
    User(#[from] UserError),
    /// The first user's password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database failed. Nothing was stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A quota would be exceeded, which the first user and key of an organization never do.
    #[error(transparent)]
    Quota(#[from] TakeError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// A new organization and the key that opens it. The secret cannot be had again.
#[derive(Debug, Clone)]
pub struct Bootstrapped {
    /// The organization.
    pub organization_id: OrganizationId,
    /// Its first user, who owns the key.
    pub user_id: UserId,
    /// A Cloud API key.
    pub cloud_api_key: ApiKeyId,
    /// Its secret.
    pub cloud_api_secret: Secret,
    /// How the first user logs in; none if it was given no e-mail address.
    pub login: Option<FirstLogin>,
}

/// How the first user of an organization logs in. The password cannot be had again.
#[derive(Debug, Clone)]
pub struct FirstLogin {
    /// The e-mail address, as it is stored.
    pub email: String,
    /// The password.
    pub password: Secret,
}

/// One running replica.
pub struct ControlPlane {
    app: Arc<App>,
    audit_stop: CancellationToken,
    audit_writer: JoinHandle<()>,
    http_address: SocketAddr,
    fleet_address: SocketAddr,
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
            lost_answers: LostAnswers::default(),
            operations: http::router::operation_ids(),
            driver_wake: tokio::sync::Notify::new(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let audit_writer = tokio::spawn(tasks::audit_writer::write(Arc::clone(&app), audit_writer));
        app.tasks.spawn(tasks::audit_writer::clean_up(Arc::clone(&app)));
        app.tasks.spawn(tasks::driver::run(Arc::clone(&app)));
        app.tasks.spawn(tasks::recount::run(Arc::clone(&app)));
        if let Some(pool) = app.database.shared_pool() {
            app.tasks.spawn(tasks::notifications::run(Arc::clone(&app), pool.clone()));
        }
        let acceptor = |protocols| config.tls.as_ref().map(|tls| tls_acceptor(tls, protocols));
        let shutdown = &app.shutdown;
        let (http_tls, fleet_tls) = (acceptor(Protocols::Http), acceptor(Protocols::Grpc));
        app.tasks.spawn(serve(http_listener, http_tls, http::router::router(&app), shutdown.clone()));
        app.tasks.spawn(serve(fleet_listener, fleet_tls, fleet::service::routes(&app), shutdown.clone()));
        info!(%http_address, %fleet_address, "control plane listens on {http_address}, for the fleet on {fleet_address}");
        Ok(Self { app, audit_stop, audit_writer, http_address, fleet_address })
    }

    /// Where the public HTTP API listens.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Where agents and brokers dial in.
    pub fn fleet_address(&self) -> SocketAddr {
        self.fleet_address
    }

    /// Makes an organization with a first user, who administers it, and a Cloud API key. With an e-mail address, the
    /// first user gets a password and can log in. Each call makes another one: the caller keeps the answer, and calls
    /// this at the first start only.
    pub async fn bootstrap(
        &self,
        organization_display_name: &str,
        first_user_email: Option<&str>,
    ) -> Result<Bootstrapped, BootstrapError> {
        names::check_display_name(organization_display_name)?;
        let app = &self.app;
        let login = first_user_email.map(new_login).transpose()?;
        let password_hash = match &login {
            Some(login) => app.passwords.hash(login.password.expose()).await?,
            None => String::new(),
        };
        let now = app.clock.now();
        let organization_id = OrganizationId(uuid::Builder::from_random_bytes(random::bytes()?).into_uuid());
        let user_id = UserId::from_random(random::bytes()?);
        let cloud_api_key = ApiKeyId::from_random(random::bytes()?);
        let secret = secret_from_random(random::bytes()?);
        let key = api_keys::ApiKey {
            id: cloud_api_key.clone(),
            owner_service_account_id: None,
            owner_user_id: Some(user_id.clone()),
            cluster_id: None,
            environment_id: None,
            cluster_kind: None,
            physical_cluster_id: None,
            display_name: "first key".into(),
            description: String::new(),
            secret_hmac: app.secrets.hash_api_key_secret(&cloud_api_key, &secret),
            revision: 0,
            created_at: now.0,
            updated_at: now.0,
        };
        let user = users::User {
            id: user_id.clone(),
            email: login.as_ref().map(|login| login.email.clone()).unwrap_or_default(),
            full_name: String::new(),
            password_hash,
            created_at: now.0,
            updated_at: now.0,
        };
        let binding = role_bindings::RoleBinding {
            organization_id,
            id: RoleBindingId::from_random(random::bytes()?),
            principal_service_account_id: None,
            principal_user_id: Some(user_id.clone()),
            role_name: Role::OrganizationAdmin.to_string(),
            crn_pattern: CrnPattern { organization: organization_id, scope: Scope::Organization }.to_string(),
            sent_crn_pattern: String::new(),
            created_at: now.0,
        };
        let mut transaction = app.database.write().await?;
        organizations::insert(&mut transaction, organization_id, organization_display_name, now).await?;
        users::insert_into_organization(&mut transaction, organization_id, &user).await?;
        api_keys::insert_into_organization(&mut transaction, organization_id, &key).await?;
        role_bindings::insert(&mut transaction, &binding, &Scope::Organization).await?;
        let mut taken = key.shares();
        taken.extend(role_bindings::shares(&Scope::Organization));
        taken.push(Share::of_organization(&quota::USERS));
        quotas::take_in(&mut transaction, organization_id, taken, now).await?;
        transaction.commit().await?;
        Ok(Bootstrapped { organization_id, user_id, cloud_api_key, cloud_api_secret: Secret::new(secret), login })
    }

    /// Counts again what the quota counters count. Returns the codes of those that are wrong.
    pub async fn wrong_quota_counters(&self) -> Result<Vec<String>, StoreError> {
        let miscounts = tasks::recount::recount(&self.app).await?;
        Ok(miscounts.into_iter().map(|miscount| format!("{} {}", miscount.code, miscount.scope_id)).collect())
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
        self.app.database.close().await;
    }
}

/// A password as random as the secret of an API key.
fn new_login(email: &str) -> Result<FirstLogin, BootstrapError> {
    let email = normalize_email(email)?;
    Ok(FirstLogin { email, password: Secret::new(secret_from_random(random::bytes()?)) })
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
