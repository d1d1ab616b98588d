//! Flags of `millstream verify`.

use std::path::PathBuf;

use clap::Args;

use super::{ConnectionArgs, SecurityProtocol};

/// `millstream verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// Address of the REST API, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL", env = "MILLSTREAM_URL")]
    pub url: Option<String>,
    /// Cloud API key of an organization administrator
    #[arg(long, value_name = "KEY", env = "MILLSTREAM_CLOUD_API_KEY")]
    pub cloud_api_key: Option<String>,
    /// Secret of the cloud API key (prefer the variable: other users can read a command line)
    #[arg(long, value_name = "SECRET", env = "MILLSTREAM_CLOUD_API_SECRET", hide_env_values = true)]
    pub cloud_api_secret: Option<String>,
    /// Instead, a folder with the files api-key and api-secret, as a pod gets a Secret
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cloud_api_key", "cloud_api_secret"])]
    pub cloud_api_key_dir: Option<PathBuf>,
    /// Certificate authority of the REST API and of the Kafka listener, a PEM file
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// How the Kafka listener is reached [default: SASL_PLAINTEXT on this machine, else SASL_SSL]
    #[arg(long, value_enum, ignore_case = true, env = "MILLSTREAM_SECURITY_PROTOCOL")]
    pub security_protocol: Option<SecurityProtocol>,
    /// Cloud of the cluster that is made
    #[arg(long, default_value = "AWS")]
    pub cloud: String,
    /// Region of the cluster that is made
    #[arg(long, default_value = "us-east-1")]
    pub region: String,
    /// Seconds that a step may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub limit: u64,
}

impl VerifyArgs {
    /// Where the service is and who asks.
    pub fn connection(&self) -> ConnectionArgs {
        ConnectionArgs {
            url: self.url.clone(),
            cloud_api_key: self.cloud_api_key.clone(),
            cloud_api_secret: self.cloud_api_secret.clone(),
            tls_ca: self.tls_ca.clone(),
            security_protocol: self.security_protocol,
            ..ConnectionArgs::default()
        }
    }
}
