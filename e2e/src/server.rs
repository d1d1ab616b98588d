//! A running server as a client sees it: an address and an API key. The same for Apache Kafka and Millstream, so that a suite
//! cannot tell them apart except by `name`.
use std::path::Path;
use std::process::Command;

use anyhow::Result;

/// What a client needs to connect.
#[derive(Debug, Clone)]
pub struct Access {
    pub bootstrap_servers: String,
    pub api_key: String,
    pub api_secret: String,
    /// Only Millstream has these.
    pub rest: Option<RestAccess>,
}

/// What a caller of the public REST API needs.
#[derive(Debug, Clone)]
pub struct RestAccess {
    pub url: String,
    pub environment_id: String,
    pub cluster_id: String,
    pub cloud_api_key: String,
    pub cloud_api_secret: String,
}

/// A server that a suite may talk to, stopped when dropped.
pub trait Server {
    fn name(&self) -> &'static str;
    fn access(&self) -> &Access;
    /// The process whose memory and CPU time are the broker's.
    fn pid(&self) -> u32;
    /// `kill -9`, with everything that it started.
    fn kill_hard(&mut self);
    /// A clean stop, as Ctrl-C asks for it; fails if the server does not manage.
    fn stop(&mut self) -> Result<()>;
    /// Starts again on the same data and the same ports, and waits until it serves.
    fn restart(&mut self) -> Result<()>;
}

impl Access {
    /// The client properties of Java clients.
    pub fn java_properties(&self) -> String {
        format!(
            "bootstrap.servers={}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
             sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"{}\" password=\"{}\";\n",
            self.bootstrap_servers, self.api_key, self.api_secret
        )
    }

    pub fn write_java_properties(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.java_properties())?;
        Ok(())
    }

    /// Tells a suite program where the server is: `BOOTSTRAP_SERVERS`, `API_KEY`, `API_SECRET` and, where there is one, the REST API.
    pub fn set_environment(&self, command: &mut Command) {
        command.env("BOOTSTRAP_SERVERS", &self.bootstrap_servers);
        command.env("API_KEY", &self.api_key).env("API_SECRET", &self.api_secret);
        if let Some(rest) = &self.rest {
            command.env("REST_URL", &rest.url).env("ENVIRONMENT_ID", &rest.environment_id);
            command.env("CLUSTER_ID", &rest.cluster_id).env("CLOUD_API_KEY", &rest.cloud_api_key);
            command.env("CLOUD_API_SECRET", &rest.cloud_api_secret);
        }
    }
}
