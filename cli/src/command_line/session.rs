//! Flags of `millstream login` and `millstream logout`.

use std::path::PathBuf;

use clap::Args;

/// `millstream login`.
#[derive(Args)]
pub struct LoginArgs {
    /// E-mail address of the user
    #[arg(long, value_name = "EMAIL")]
    pub email: String,
    /// The organization, a UUID, for an address that is in several
    #[arg(long, value_name = "ID")]
    pub organization: Option<String>,
    /// The password [default: asked for; without a terminal, a line of stdin] (prefer the variable: other users can
    /// read a command line)
    #[arg(long, value_name = "PASSWORD", env = "MILLSTREAM_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// Address of the REST API, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL", env = "MILLSTREAM_URL")]
    pub url: Option<String>,
    /// Certificate authority of the REST API, a PEM file
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
}

/// `millstream logout`.
#[derive(Args)]
pub struct LogoutArgs {
    /// Certificate authority of the REST API, a PEM file
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
}
