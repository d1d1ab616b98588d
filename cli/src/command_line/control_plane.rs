//! Flags of `millstream control-plane`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::LogArgs;
use super::api_limits::ApiLimitArgs;

/// How one replica of the control plane runs. All replicas of an installation have the same database, agent token and
/// installation secret.
#[derive(Args)]
pub struct ControlPlaneArgs {
    /// Its database: postgres://user:password@host/name for any number of replicas, or sqlite:FILE for one
    #[arg(
        long,
        value_name = "URL",
        env = "MILLSTREAM_DATABASE_URL",
        hide_env_values = true,
        required_unless_present = "database_url_file"
    )]
    pub database_url: Option<String>,
    /// File with the URL of the database
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_DATABASE_URL_FILE", conflicts_with = "database_url")]
    pub database_url_file: Option<PathBuf>,
    /// Where the REST API listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", env = "MILLSTREAM_HTTP_LISTEN")]
    pub http_listen: SocketAddr,
    /// Where agents and brokers dial in
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8081", env = "MILLSTREAM_FLEET_LISTEN")]
    pub fleet_listen: SocketAddr,
    /// Where it answers /livez, /readyz and /metrics, in plain text and without credentials: not for the public
    /// [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT", env = "MILLSTREAM_MONITORING_LISTEN", verbatim_doc_comment)]
    pub monitoring_listen: Option<SocketAddr>,
    /// How clients reach the REST API [default: where it listens]
    #[arg(long, value_name = "URL", env = "MILLSTREAM_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// What agents must present (prefer the variable: other users can read a command line)
    #[arg(
        long,
        value_name = "TOKEN",
        env = "MILLSTREAM_AGENT_TOKEN",
        hide_env_values = true,
        required_unless_present = "agent_token_file"
    )]
    pub agent_token: Option<String>,
    /// File with what agents must present
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_AGENT_TOKEN_FILE", conflicts_with = "agent_token")]
    pub agent_token_file: Option<PathBuf>,
    /// Directory of the installation secret, from which everything secret is derived; made at the first start
    #[arg(long, value_name = "DIRECTORY", env = "MILLSTREAM_SECRET_DIR")]
    pub secret_dir: PathBuf,
    /// Certificate chain of both listeners, as PEM, read again when it changes; without it they are not encrypted
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_TLS_CERTIFICATE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, as PEM
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_TLS_KEY", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Another certificate chain for the listener of agents and brokers
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_FLEET_TLS_CERTIFICATE", requires = "fleet_tls_key")]
    pub fleet_tls_certificate: Option<PathBuf>,
    /// Private key of that certificate
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_FLEET_TLS_KEY", requires = "fleet_tls_certificate")]
    pub fleet_tls_key: Option<PathBuf>,
    /// Authorities of client certificates, as PEM: every agent must then show one with its id as DNS name
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_FLEET_CLIENT_CA", conflicts_with = "fleet_insecure")]
    pub fleet_client_ca: Option<PathBuf>,
    /// Serve agents and brokers unencrypted also beyond this machine, which shows their tokens to the network
    #[arg(long, env = "MILLSTREAM_FLEET_INSECURE", value_parser = clap::builder::FalseyValueParser::new())]
    pub fleet_insecure: bool,
    /// Make another organization of this name and print its first Cloud API key
    #[arg(long, value_name = "NAME")]
    pub new_organization: Option<String>,
    /// Give the new organization's first user this e-mail address and a password, which is printed too
    #[arg(long, value_name = "EMAIL", requires = "new_organization",
        value_parser = millstream_control_plane::normalize_email)]
    pub admin_email: Option<String>,
    /// Make an organization of this name with the first credentials, unless it was made with them before
    #[arg(long, value_name = "NAME", requires = "first_credentials", conflicts_with = "new_organization")]
    pub first_organization: Option<String>,
    /// Directory with the files api-key (16 upper-case letters or digits) and api-secret (64 characters), and if the
    /// first user shall log in, admin-email and admin-password
    #[arg(long, value_name = "DIRECTORY", requires = "first_organization")]
    pub first_credentials: Option<PathBuf>,
    #[command(flatten)]
    pub limits: ApiLimitArgs,
    #[command(flatten)]
    pub log: LogArgs,
}
