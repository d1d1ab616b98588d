//! `millstream control-plane`: one replica of the control plane alone. Agents and brokers dial in from elsewhere.
//!
//! Promises: what it prints is printed once it serves; Ctrl-C and SIGTERM let requests in flight finish.

use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use millstream_api::rest::iam::Secret;
use millstream_control_plane::{
    BootstrapError, Config, ControlPlane, DEFAULT_AUDIT_RETENTION_DAYS, FirstCredentials, FirstLogin, RequestRates,
    SecretsSource,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::command_line::control_plane::ControlPlaneArgs;
use crate::failure::{Failure, chain};
use crate::output::{Column, Output, column};
use crate::process::{StopSignals, log_to_stderr, raise_file_limit};
use crate::up::parse_database_url;

/// A file with a secret is one line, and none is this long.
const MAX_SECRET_FILE_BYTES: u64 = 8 * 1024;

const COLUMNS: &[Column] = &[
    column("REST API", "/rest_url"),
    column("For the fleet", "/fleet_address"),
    column("Organization", "/organization_id"),
    column("Cloud API key", "/cloud_api_key"),
    column("Secret", "/cloud_api_secret"),
    column("Admin e-mail", "/admin_email"),
    column("Admin password", "/admin_password"),
];

/// Runs the replica until it is told to stop.
pub fn run(runtime: &Runtime, args: ControlPlaneArgs, output: Output) -> Result<(), Failure> {
    log_to_stderr(&args.log)?;
    let database_url = given_or_in_file(args.database_url, args.database_url_file.as_deref())?;
    let database = parse_database_url(&database_url)?;
    let agent_token = given_or_in_file(args.agent_token, args.agent_token_file.as_deref())?;
    let first_credentials = args.first_credentials.as_deref().map(read_first_credentials).transpose()?;
    let tls = match (&args.tls_certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(load_tls(certificate, key)?),
        _ => None,
    };
    let http_listener = bind(args.http_listen, "the REST API", "--http-listen")?;
    let fleet_listener = bind(args.fleet_listen, "agents and brokers", "--fleet-listen")?;
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
    let config = Config {
        database,
        http_listener,
        fleet_listener,
        public_url: rest_url.clone(),
        agent_token,
        secrets: SecretsSource::Directory(args.secret_dir),
        request_rates: RequestRates::default(),
        audit_retention_days: DEFAULT_AUDIT_RETENTION_DAYS,
        tls,
    };
    runtime.block_on(async {
        let mut signals = StopSignals::install()?;
        let started = ControlPlane::start(config).await;
        let control_plane =
            started.map_err(|error| Failure::failed(format!("cannot start the control plane: {}", chain(&error))))?;
        let mut ready = json!({ "rest_url": rest_url, "fleet_address": fleet_address.to_string() });
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
fn given_or_in_file(given: Option<String>, file: Option<&Path>) -> Result<String, Failure> {
    match (given, file) {
        (Some(given), _) => Ok(given),
        (None, Some(file)) => read_secret(file),
        (None, None) => Ok(String::new()),
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

/// A small file of one line; editors and shells like to end it with a newline.
fn read_secret(file: &Path) -> Result<String, Failure> {
    let unusable = |why: &str| Failure::failed(format!("cannot use {}: {why}", file.display()));
    let mut text = String::new();
    let opened = File::open(file).map_err(|error| unusable(&error.to_string()))?;
    opened.take(MAX_SECRET_FILE_BYTES).read_to_string(&mut text).map_err(|error| unusable(&error.to_string()))?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() { Err(unusable("it is empty")) } else { Ok(line.to_owned()) }
}

fn bind(address: SocketAddr, purpose: &str, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        Failure::failed(format!("cannot listen on {address} for {purpose}: {error}"))
            .suggest(format!("choose another address with {flag}"))
    })
}

fn load_tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, Failure> {
    let unusable = |file: &Path, error: &dyn std::error::Error| {
        Failure::failed(format!("cannot use {}: {}", file.display(), chain(error)))
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(certificate, &error))?;
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private_key);
    config.map(Arc::new).map_err(|error| unusable(certificate, &error))
}
