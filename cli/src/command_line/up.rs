//! Flags of `millstream up`.

use clap::Args;

use super::api_limits::ApiLimitArgs;

/// `millstream up`.
#[derive(Args, Clone)]
pub struct UpArgs {
    /// Encrypt the Kafka listener with a certificate of an own authority
    #[arg(long, env = "MILLSTREAM_TLS", value_parser = clap::builder::FalseyValueParser::new())]
    pub tls: bool,
    /// Port for Kafka clients; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 9092, env = "MILLSTREAM_KAFKA_PORT")]
    pub kafka_port: u16,
    /// Port for the REST API; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080, env = "MILLSTREAM_HTTP_PORT")]
    pub http_port: u16,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", env = "MILLSTREAM_BIND")]
    pub bind: std::net::IpAddr,
    /// Host name that clients are told to connect to [default: the bind address, or localhost]
    #[arg(long, value_name = "HOST", env = "MILLSTREAM_ADVERTISED_HOST")]
    pub advertised_host: Option<String>,
    /// Keep what the control plane knows in this PostgreSQL database, postgres://user:password@host/name [default: a
    /// SQLite file in the data directory]
    #[arg(long, value_name = "URL", env = "MILLSTREAM_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// How the first user logs in; counts at the first start only, which makes the password
    #[arg(long, value_name = "EMAIL", default_value = "admin@localhost", env = "MILLSTREAM_ADMIN_EMAIL",
        value_parser = millstream_control_plane::normalize_email)]
    pub admin_email: String,
    #[command(flatten)]
    pub limits: ApiLimitArgs,
    /// What is logged to stderr, such as info or millstream_broker=debug
    #[arg(long, value_name = "FILTER", default_value = "warn", env = "MILLSTREAM_LOG")]
    pub log: String,
}
