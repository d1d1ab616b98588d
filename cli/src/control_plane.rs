//! `millstream control-plane`: one replica of the control plane alone. Agents and brokers dial in from elsewhere.
//!
//! Promises: what it prints is printed once it serves; Ctrl-C and SIGTERM let requests in flight finish.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use millstream_api::rest::iam::Secret;
use millstream_control_plane::{
    AgentCertificates, BootstrapError, Config, ControlPlane, FirstCredentials, FirstLogin, FleetTls, SecretsSource,
    StartError,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::command_line::control_plane::ControlPlaneArgs;
use crate::failure::{Failure, chain};
use crate::output::{Column, Output, column};
use crate::process::{StopSignals, log_to_stderr, raise_file_limit};
use crate::secret_file::read_secret;
use crate::server_tls::ServerTls;
use crate::up::parse_database_url;

const COLUMNS: &[Column] = &[
    column("REST API", "/rest_url"),
    column("For the fleet", "/fleet_address"),
    column("Monitoring", "/monitoring_address"),
    column("Organization", "/organization_id"),
    column("Cloud API key", "/cloud_api_key"),
    column("Secret", "/cloud_api_secret"),
    column("Admin e-mail", "/admin_email"),
    column("Admin password", "/admin_password"),
];

/// Runs the replica until it is told to stop.
pub fn run(runtime: &Runtime, args: ControlPlaneArgs, output: Output) -> Result<(), Failure> {
    log_to_stderr(&args.log)?;
    let database_url = given_or_in_file(args.database_url.as_deref(), args.database_url_file.as_deref())?;
    let database = parse_database_url(&database_url)?;
    let agent_token = given_or_in_file(args.agent_token.as_deref(), args.agent_token_file.as_deref())?;
    let first_credentials = args.first_credentials.as_deref().map(read_first_credentials).transpose()?;
    let tls = match (&args.tls_certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(ServerTls::load(certificate, key)?),
        _ => None,
    };
    let fleet_tls = load_fleet_tls(&args)?;
    check_fleet_listener(&args, fleet_tls.is_some())?;
    let http_listener = bind(args.http_listen, "the REST API", "--http-listen")?;
    let fleet_listener = bind(args.fleet_listen, "agents and brokers", "--fleet-listen")?;
    let monitoring_listener = args.monitoring_listen.map(|address| bind(address, "monitoring", "--monitoring-listen"));
    let monitoring_listener = monitoring_listener.transpose()?;
    raise_file_limit();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = |listener: &TcpListener| {
        let address = listener.local_addr();
        address.map_err(|error| Failure::failed(format!("cannot ask for a port: {error}")))
    };
    let rest_url = match args.public_url {
        Some(url) => url,
        None => format!("{scheme}://{}", address(&http_listener)?),
    };
    let fleet_address = address(&fleet_listener)?;
    let agent_certificates = match args.fleet_client_ca {
        Some(_) => AgentCertificates::Required,
        None => AgentCertificates::NotNeeded,
    };
    let config = Config {
        database,
        http_listener,
        fleet_listener,
        monitoring_listener,
        public_url: rest_url.clone(),
        agent_token,
        secrets: SecretsSource::Directory(args.secret_dir),
        request_rates: args.limits.request_rates(),
        audit_retention_days: args.limits.audit_retention_days,
        tls: tls.as_ref().map(ServerTls::config),
        fleet_tls: fleet_tls.as_ref().map(|tls| FleetTls { server: tls.config(), agent_certificates }),
    };
    runtime.block_on(async {
        let mut signals = StopSignals::install()?;
        // Ends with this block.
        let mut reloading = JoinSet::new();
        for tls in [tls, fleet_tls].into_iter().flatten() {
            reloading.spawn(tls.follow_files());
        }
        let started = ControlPlane::start(config).await;
        let control_plane = started.map_err(|error| not_started(&error, args.database_url_file.as_deref()))?;
        let mut ready = json!({ "rest_url": rest_url, "fleet_address": fleet_address.to_string() });
        if let Some(address) = control_plane.monitoring_address() {
            ready["monitoring_address"] = json!(address.to_string());
        }
        let made = match (&args.new_organization, &args.first_organization, first_credentials) {
            (Some(name), ..) => make_organization(&control_plane, name, args.admin_email.as_deref(), &mut ready).await,
            (None, Some(name), Some(credentials)) => {
                let ensured = control_plane.ensure_organization(name, credentials).await;
                ensured.map(|_| ()).map_err(|error| not_made(&error))
            }
            _ => Ok(()),
        };
        let printed = match made {
            Ok(()) => output.object(COLUMNS, &ready),
            Err(failure) => Err(failure),
        };
        if printed.is_ok() {
            signals.next().await;
        }
        control_plane.shutdown().await;
        printed
    })
}

async fn make_organization(
    control_plane: &ControlPlane,
    name: &str,
    admin_email: Option<&str>,
    ready: &mut Value,
) -> Result<(), Failure> {
    let made = control_plane.bootstrap(name, admin_email).await;
    let made = made.map_err(|error| not_made(&error))?;
    ready["organization_id"] = json!(made.organization_id.to_string());
    ready["user_id"] = json!(made.user_id.to_string());
    ready["cloud_api_key"] = json!(made.cloud_api_key.to_string());
    ready["cloud_api_secret"] = json!(made.cloud_api_secret.expose());
    if let Some(login) = made.login {
        ready["admin_email"] = json!(login.email);
        ready["admin_password"] = json!(login.password.expose());
    }
    Ok(())
}

fn not_made(error: &BootstrapError) -> Failure {
    Failure::failed(format!("cannot make the organization: {}", chain(error)))
}

/// The command line sees to it that one of the two is there.
fn given_or_in_file(given: Option<&str>, file: Option<&Path>) -> Result<String, Failure> {
    match (given, file) {
        (Some(given), _) => Ok(given.to_owned()),
        (None, Some(file)) => read_secret(file),
        (None, None) => Ok(String::new()),
    }
}

/// Says where the database's URL is, if that may be what is wrong. Never the URL: it has a password.
fn not_started(error: &StartError, database_url_file: Option<&Path>) -> Failure {
    let failure = Failure::failed(format!("cannot start the control plane: {}", chain(error)));
    match (error, database_url_file) {
        (StartError::Database(_), Some(file)) => {
            failure.suggest(format!("correct the URL in {} (--database-url-file)", file.display()))
        }
        (StartError::Database(_), None) => {
            failure.suggest("correct the URL: --database-url or MILLSTREAM_DATABASE_URL")
        }
        _ => failure,
    }
}

/// The first credentials as a Kubernetes Secret that is mounted shows them: a file for each.
fn read_first_credentials(directory: &Path) -> Result<FirstCredentials, Failure> {
    let key_file = directory.join("api-key");
    let cloud_api_key = read_secret(&key_file)?.parse();
    let cloud_api_key =
        cloud_api_key.map_err(|error| Failure::failed(format!("cannot use {}: {error}", key_file.display())))?;
    let cloud_api_secret = Secret::new(read_secret(&directory.join("api-secret"))?);
    let email_file = directory.join("admin-email");
    let login = match email_file.exists() {
        true => Some(FirstLogin {
            email: read_secret(&email_file)?,
            password: Secret::new(read_secret(&directory.join("admin-password"))?),
        }),
        false => None,
    };
    Ok(FirstCredentials { cloud_api_key, cloud_api_secret, login })
}

/// The listener's own certificate, or else the one of both listeners.
fn load_fleet_tls(args: &ControlPlaneArgs) -> Result<Option<ServerTls>, Failure> {
    let own = args.fleet_tls_certificate.as_ref().zip(args.fleet_tls_key.as_ref());
    let pair = own.or(args.tls_certificate.as_ref().zip(args.tls_key.as_ref()));
    match (pair, &args.fleet_client_ca) {
        (Some((certificate, key)), Some(client_ca)) => {
            ServerTls::load_with_client_ca(certificate, key, client_ca).map(Some)
        }
        (Some((certificate, key)), None) => ServerTls::load(certificate, key).map(Some),
        (None, Some(_)) => Err(Failure::usage("--fleet-client-ca counts only where agents and brokers come in by TLS")
            .suggest("add --fleet-tls-certificate and --fleet-tls-key")),
        (None, None) => Ok(None),
    }
}

/// Tokens must not travel unencrypted to other machines unless somebody wants that.
fn check_fleet_listener(args: &ControlPlaneArgs, is_encrypted: bool) -> Result<(), Failure> {
    let stays_here = args.fleet_listen.ip().is_loopback();
    if is_encrypted || stays_here || args.fleet_insecure {
        return Ok(());
    }
    let message =
        format!("--fleet-listen {}: tokens of agents and brokers would travel unencrypted", args.fleet_listen);
    Err(Failure::usage(message)
        .suggest("add --fleet-tls-certificate and --fleet-tls-key, or --fleet-insecure if the network is safe"))
}

fn bind(address: SocketAddr, purpose: &str, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        Failure::failed(format!("cannot listen on {address} for {purpose}: {error}"))
            .suggest(format!("choose another address with {flag}"))
    })
}
