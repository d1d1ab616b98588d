//! `millstream up`: the whole service on this machine, in one process.
//!
//! Control plane on SQLite, an S3 server, one broker, and a local agent in the operator's place, which speak to each
//! other over the same protocols as in production. Promises: ready means that a client gets in; a start that fails
//! names its cause and the flag to change; a stop by Ctrl-C or SIGTERM loses nothing and neither does `kill -9`.

mod certificates;
mod data_dir;
mod dedicated;
mod desired;
mod first_start;
mod greeting;
mod listeners;
mod local_agent;
mod object_store;

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use millstream_broker::config::{ObjectStoreConfig, ObjectStoreCredentials};
use millstream_control_plane::{ControlPlane, DatabaseUrl, SecretsSource};
use tokio::runtime::Runtime;

use crate::command_line::{LogArgs, LogFormat, SecurityProtocol, UpArgs};
use crate::credentials::Credentials;
use crate::failure::{Failure, chain};
use crate::kafka_client::cluster::Cluster;
use crate::kafka_client::error::ClientError;
use crate::login;
use crate::output::Output;
use crate::process::{StopSignals, log_to_stderr, raise_file_limit};
use crate::rest_client::{KeyPair, RestClient};
use data_dir::{DataDir, ServiceSecrets};
use greeting::Greeting;
use listeners::{Listeners, host_and_port, port_of};
use local_agent::{LocalAgent, LocalAgentConfig, Machine, SharedParts};

/// How long a key that was just made may take until the broker lets it in.
const FIRST_LOGIN_LIMIT: Duration = Duration::from_secs(30);
/// How long a broker that was stopped early may take until it has caught up with the control plane.
const LATER_LOGIN_LIMIT: Duration = Duration::from_secs(3);
const LOGIN_PAUSE: Duration = Duration::from_millis(10);
/// For a part that does not start: its own message names the cause.
const START_SUGGESTION: &str = "see what led to it with --log info, or choose another directory with --data-dir";
/// How long the whole stop may take before the process ends anyway.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Runs the service until it is told to stop.
pub fn run(runtime: &Runtime, args: UpArgs, data_dir: &Path, output: Output) -> Result<(), Failure> {
    let began = Instant::now();
    log_to_stderr(&LogArgs { filter: args.log.clone(), format: LogFormat::Text })?;
    let database = args.database_url.as_deref().map(parse_database_url).transpose()?;
    // The directory is looked at before the ports are bound: a second `up` is told about the first one, not about its
    // ports. Nothing is written before both are known to be free.
    DataDir::check(data_dir)?;
    let listeners = Listeners::bind(args.bind, args.kafka_port, args.http_port)?;
    let data_dir = DataDir::open(data_dir)?;
    raise_file_limit();
    if !args.bind.is_loopback() && !args.tls {
        eprintln!("Warning: other machines can reach {} and keys travel unencrypted\nSuggestion: add --tls", args.bind);
    }
    runtime.block_on(serve(&args, database, data_dir, listeners, output, began))
}

/// Reads `--database-url`.
pub fn parse_database_url(url: &str) -> Result<DatabaseUrl, Failure> {
    // The URL holds a password, so the message does not repeat it.
    let wrong = |error| Failure::usage(format!("--database-url cannot be used: {}", chain(&error)));
    url.parse().map_err(wrong)
}

async fn serve(
    args: &UpArgs,
    database: Option<DatabaseUrl>,
    data_dir: DataDir,
    listeners: Listeners,
    output: Output,
    began: Instant,
) -> Result<(), Failure> {
    let mut signals = StopSignals::install()?;
    let places = Places::new(args, &listeners)?;
    let mut service = tokio::select! {
        started = Service::start(args, database, &data_dir, listeners, &places) => started?,
        // What was started so far ends with the process, as after kill -9.
        () = signals.next() => return Ok(()),
    };
    let result = tokio::select! {
        ready = service.make_ready(args, &data_dir, &places) => ready,
        () = signals.next() => Ok(None),
    };
    let result = match result {
        Ok(Some(ready)) => {
            let printed = ready.print(&output, began);
            if printed.is_ok() {
                signals.next().await;
            }
            printed
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    tokio::select! {
        stopped = tokio::time::timeout(STOP_LIMIT, service.stop()) => match stopped {
            Ok(()) => result,
            Err(_) => Err(Failure::failed("the service did not stop in time; the next start checks its files")),
        },
        () = signals.next() => Err(Failure::failed("stopped at once; the next start checks its files")),
    }
}

/// Where things can be reached: for clients and, on this machine, for ourselves.
struct Places {
    bootstrap_servers: String,
    rest_url: String,
    own_bootstrap_server: String,
    own_rest_url: String,
    fleet_url: String,
    object_store_url: String,
    advertised_host: String,
    kafka_port: u16,
}

impl Places {
    fn new(args: &UpArgs, listeners: &Listeners) -> Result<Self, Failure> {
        let (kafka_port, http_port) = (port_of(&listeners.kafka)?, port_of(&listeners.http)?);
        let own_host = match args.bind {
            IpAddr::V4(address) if address.is_unspecified() => "127.0.0.1".to_string(),
            IpAddr::V6(address) if address.is_unspecified() => "::1".to_string(),
            address => address.to_string(),
        };
        let by_default = if args.bind.is_unspecified() { "localhost".to_string() } else { own_host.clone() };
        let advertised_host = args.advertised_host.clone().unwrap_or(by_default);
        let loopback = |port: u16| format!("http://127.0.0.1:{port}");
        Ok(Self {
            bootstrap_servers: host_and_port(&advertised_host, kafka_port),
            rest_url: format!("http://{}", host_and_port(&advertised_host, http_port)),
            own_bootstrap_server: host_and_port(&own_host, kafka_port),
            own_rest_url: format!("http://{}", host_and_port(&own_host, http_port)),
            fleet_url: loopback(port_of(&listeners.fleet)?),
            object_store_url: loopback(port_of(&listeners.object_store)?),
            advertised_host,
            kafka_port,
        })
    }
}

/// Everything that runs.
struct Service {
    object_store: object_store::ObjectStoreServer,
    control_plane: ControlPlane,
    agent: LocalAgent,
    tls_ca_file: Option<std::path::PathBuf>,
}

impl Service {
    async fn start(
        args: &UpArgs,
        database: Option<DatabaseUrl>,
        data_dir: &DataDir,
        listeners: Listeners,
        places: &Places,
    ) -> Result<Self, Failure> {
        let secrets = data_dir.secrets()?;
        let certificates = match args.tls {
            true => {
                let hosts = [places.advertised_host.clone(), args.bind.to_string()];
                let prepared = certificates::prepare(&data_dir.folder("tls")?, &hosts, chrono::Utc::now());
                Some(prepared.map_err(|error| Failure::failed(chain(&error)))?)
            }
            false => None,
        };
        let buckets = data_dir.folder("object-store")?;
        let object_store = object_store::start(&buckets, &secrets, listeners.object_store);
        let object_store =
            object_store.map_err(|error| Failure::failed(format!("cannot start the S3 server: {error}")))?;

        // The agent starts the broker from what it knows, while the control plane still opens its database.
        let agent = LocalAgent::start(LocalAgentConfig {
            agent_token: secrets.agent_token.clone(),
            machine: Machine {
                control_plane_url: places.fleet_url.clone(),
                agent_dir: data_dir.folder("agent")?,
                dedicated_dir: data_dir.folder("dedicated")?,
                object_store_dir: buckets,
                bind: args.bind,
                advertised_host: places.advertised_host.clone(),
                tls: certificates.as_ref().map(|certificates| certificates.server.clone()),
                object_store: object_store_config(&secrets, places),
            },
            shared: SharedParts {
                data_dir: data_dir.folder("broker")?,
                kafka_listener: listeners.kafka,
                http_listener: listeners.broker_http,
                kafka_port: places.kafka_port,
            },
        });
        let control_plane_dir = data_dir.folder("control-plane")?;
        let control_plane = ControlPlane::start(millstream_control_plane::Config {
            database: database.unwrap_or_else(|| DatabaseUrl::Sqlite(control_plane_dir.join("control-plane.sqlite"))),
            http_listener: listeners.http,
            fleet_listener: listeners.fleet,
            monitoring_listener: None,
            public_url: places.rest_url.clone(),
            agent_token: secrets.agent_token,
            secrets: SecretsSource::Directory(control_plane_dir),
            request_rates: args.limits.request_rates(),
            audit_retention_days: args.limits.audit_retention_days,
            tls: None,
            fleet_tls: None,
        });
        let tls_ca_file = certificates.map(|certificates| certificates.authority_file);
        match control_plane.await {
            Ok(control_plane) => Ok(Self { object_store, control_plane, agent, tls_ca_file }),
            Err(error) => {
                agent.shutdown().await;
                object_store.shutdown().await;
                let message = format!("cannot start the control plane: {}", chain(&error));
                Err(Failure::failed(message).suggest(START_SUGGESTION))
            }
        }
    }

    /// Waits until a client gets in; makes everything it needs at the first start.
    async fn make_ready(
        &mut self,
        args: &UpArgs,
        data_dir: &DataDir,
        places: &Places,
    ) -> Result<Option<Ready>, Failure> {
        let saved = Credentials::load(data_dir.path()).map_err(|error| Failure::failed(chain(&error)))?;
        let is_first_start = saved.is_none();
        let broker_runs = self.agent.broker_is_running();
        broker_runs.await.map_err(|reason| {
            Failure::failed(format!("cannot start the broker: {reason}")).suggest(START_SUGGESTION)
        })?;
        let mut credentials = match &saved {
            Some(saved) => saved.clone(),
            None => self.make_first_credentials(&args.admin_email, data_dir, places).await?,
        };
        credentials.bootstrap_servers = places.bootstrap_servers.clone();
        credentials.rest_url = places.rest_url.clone();
        credentials.data_dir = data_dir.path().to_path_buf();
        let protocol = match self.tls_ca_file {
            Some(_) => SecurityProtocol::SaslSsl,
            None => SecurityProtocol::SaslPlaintext,
        };
        credentials.security_protocol = protocol.name().to_string();
        credentials.tls_ca_file = self.tls_ca_file.clone();

        wait_for_login(&credentials, places, is_first_start).await?;
        credentials.save(data_dir.path()).map_err(|error| Failure::failed(chain(&error)))?;
        first_start::forget_cloud_key(data_dir.path());
        Ok(Some(Ready { credentials, is_first_start }))
    }

    async fn make_first_credentials(
        &self,
        admin_email: &str,
        data_dir: &DataDir,
        places: &Places,
    ) -> Result<Credentials, Failure> {
        let cloud = match first_start::saved_cloud_key(data_dir.path())? {
            Some(cloud) => cloud,
            None => first_start::make_cloud_key(&self.control_plane, admin_email, data_dir.path()).await?,
        };
        let cloud_pair = KeyPair { key: cloud.key.clone(), secret: cloud.secret.clone() };
        let api = RestClient::new(&places.own_rest_url, cloud_pair, None)?;
        let made = first_start::make_first_objects(&api).await?;
        Ok(Credentials {
            bootstrap_servers: places.bootstrap_servers.clone(),
            rest_url: places.rest_url.clone(),
            organization_id: cloud.organization_id,
            environment_id: made.environment_id,
            cluster_id: made.cluster_id,
            service_account_id: made.service_account_id,
            kafka_api_key: made.kafka.key,
            kafka_api_secret: made.kafka.secret,
            cloud_api_key: cloud.key,
            cloud_api_secret: cloud.secret,
            admin: cloud.admin,
            data_dir: data_dir.path().to_path_buf(),
            security_protocol: String::new(),
            tls_ca_file: None,
        })
    }

    /// Stops in the order in which the parts need each other: broker, control plane, S3 server.
    async fn stop(self) {
        self.agent.shutdown().await;
        self.control_plane.shutdown().await;
        self.object_store.shutdown().await;
    }
}

fn object_store_config(secrets: &ServiceSecrets, places: &Places) -> ObjectStoreConfig {
    ObjectStoreConfig {
        bucket: object_store::BUCKET.to_string(),
        prefix: String::new(),
        endpoint_url: Some(places.object_store_url.clone()),
        region: "us-east-1".to_string(),
        credentials: Some(ObjectStoreCredentials::Values {
            access_key_id: secrets.object_store_access_key.clone(),
            secret_access_key: secrets.object_store_secret_key.clone(),
        }),
        force_path_style: true,
    }
}

/// Logs in to the broker as a client does.
async fn wait_for_login(credentials: &Credentials, places: &Places, is_first_start: bool) -> Result<(), Failure> {
    let mut target = greeting::kafka_target(credentials);
    target.bootstrap_server = places.own_bootstrap_server.clone();
    let limit = if is_first_start { FIRST_LOGIN_LIMIT } else { LATER_LOGIN_LIMIT };
    let began = Instant::now();
    loop {
        match Cluster::connect(&target).await {
            Ok(_) => return Ok(()),
            Err(ClientError::Authentication) if began.elapsed() < limit => tokio::time::sleep(LOGIN_PAUSE).await,
            Err(ClientError::Authentication) if !is_first_start => {
                eprintln!(
                    "Warning: the broker refuses the Kafka API key {} of the credentials file: was it deleted?\n\
                     Suggestion: create another with `millstream api-key create`",
                    credentials.kafka_api_key
                );
                return Ok(());
            }
            Err(error) => return Err(Failure::failed(format!("cannot log in to the broker: {}", chain(&error)))),
        }
    }
}

/// The service is ready.
struct Ready {
    credentials: Credentials,
    is_first_start: bool,
}

impl Ready {
    fn print(&self, output: &Output, began: Instant) -> Result<(), Failure> {
        let default = login::data_dir(None).ok().and_then(|path| std::fs::canonicalize(path).ok());
        let greeting = Greeting {
            credentials: &self.credentials,
            is_first_start: self.is_first_start,
            took: began.elapsed(),
            program: &own_name(),
            data_dir_flag: &greeting::data_dir_flag(&self.credentials.data_dir, default.as_deref()),
        };
        greeting.print(output)
    }
}

/// How this program was called, if that can be copied into a shell.
fn own_name() -> String {
    let called = std::env::args().next().unwrap_or_default();
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    if !called.is_empty() && is_plain(&called) { called } else { "millstream".to_string() }
}
