//! What `millstream up` prints when everything is ready.
//!
//! For people: the keys and lines to copy. For programs: exactly one JSON object. The first user's password is in the
//! credentials file alone.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::client_config::{ClientConfig, java_properties, kcat_line};
use crate::credentials::{CREDENTIALS_FILE, Credentials};
use crate::failure::Failure;
use crate::login::{Encryption, KafkaTarget};
use crate::output::{Output, write_line_for_listener};
use crate::rest_client::KeyPair;

/// What is printed besides the credentials.
pub struct Greeting<'a> {
    pub credentials: &'a Credentials,
    pub is_first_start: bool,
    pub took: Duration,
    /// How this program was called, for the lines to copy.
    pub program: &'a str,
    /// Added to those lines when the data directory is not the default one.
    pub data_dir_flag: &'a str,
}

impl Greeting<'_> {
    /// Prints it.
    pub fn print(&self, output: &Output) -> Result<(), Failure> {
        if output.is_json() {
            return write_line_for_listener(&self.json()?.to_string());
        }
        write_line_for_listener(&self.text(output))
    }

    fn json(&self) -> Result<Value, Failure> {
        let mut object = serde_json::to_value(self.credentials).map_err(|error| Failure::failed(error.to_string()))?;
        if let Some(object) = object.as_object_mut() {
            object.remove("admin_password");
        }
        object["pid"] = std::process::id().into();
        Ok(object)
    }

    fn text(&self, output: &Output) -> String {
        let credentials = self.credentials;
        let file = credentials.data_dir.join(CREDENTIALS_FILE);
        let began = if self.is_first_start { "made and started" } else { "started" };
        let mut text = format!(
            "{} {began} in {:.2} s: one broker, the control plane and an S3 server in process {}.\n\n",
            output.bold("Millstream is ready:"),
            self.took.as_secs_f64(),
            std::process::id(),
        );
        let facts = [
            ("Bootstrap server", credentials.bootstrap_servers.as_str()),
            ("Security protocol", credentials.security_protocol.as_str()),
            ("REST API", credentials.rest_url.as_str()),
            ("Environment", credentials.environment_id.as_str()),
            ("Cluster", credentials.cluster_id.as_str()),
            ("Kafka API key", credentials.kafka_api_key.as_str()),
            ("Kafka API secret", credentials.kafka_api_secret.as_str()),
            ("Cloud API key", credentials.cloud_api_key.as_str()),
            ("Cloud API secret", credentials.cloud_api_secret.as_str()),
        ];
        for (name, value) in facts {
            text.push_str(&format!("  {name:<20}{value}\n"));
        }
        if let Some(admin) = &credentials.admin {
            text.push_str(&format!("  {:<20}{}\n", "Admin e-mail", admin.admin_email));
            text.push_str(&format!("  {:<20}admin_password in {}\n", "Admin password", file.display()));
        }
        text.push_str(&format!("  {:<20}{}\n", "Kept in", file.display()));
        if let Some(authority) = &credentials.tls_ca_file {
            text.push_str(&format!("  {:<20}{}\n", "TLS authority", authority.display()));
        }
        // A path or a host that needs quoting does not fit into lines to copy.
        let Ok(config) = ClientConfig::new(&kafka_target(credentials)) else { return text };
        let sections = [
            ("Java client properties", indent(&java_properties(&config))),
            ("kcat", indent(&self.kcat_lines(&config))),
            ("REST", indent(&self.curl_line())),
            ("This program", indent(&self.own_lines())),
        ];
        for (title, body) in sections {
            text.push_str(&format!("\n{}\n{body}", output.bold(title)));
        }
        text.push_str("\nCtrl-C stops it; the same command starts it again with the same data and keys.");
        text
    }

    fn kcat_lines(&self, config: &ClientConfig) -> String {
        let kcat = kcat_line(config);
        format!("echo hello | {kcat} -t tweets -P\n{kcat} -t tweets -C -e\n")
    }

    fn curl_line(&self) -> String {
        let credentials = self.credentials;
        format!(
            "curl -u {}:{} {}/kafka/v3/clusters/{}/topics\n",
            credentials.kafka_api_key, credentials.kafka_api_secret, credentials.rest_url, credentials.cluster_id,
        )
    }

    fn own_lines(&self) -> String {
        let (program, flag) = (self.program, self.data_dir_flag);
        format!(
            "{program} topic create tweets{flag}\n\
             {program} topic produce tweets{flag}\n\
             {program} topic consume tweets --from-beginning{flag}\n\
             {program} client-config create python{flag}\n"
        )
    }
}

/// How this program's own client reaches the service.
pub fn kafka_target(credentials: &Credentials) -> KafkaTarget {
    KafkaTarget {
        bootstrap_server: credentials.bootstrap_servers.clone(),
        credentials: KeyPair { key: credentials.kafka_api_key.clone(), secret: credentials.kafka_api_secret.clone() },
        encryption: match &credentials.tls_ca_file {
            Some(authority) => Encryption::TrustFile(authority.clone()),
            None => Encryption::Plain,
        },
    }
}

/// ` --data-dir …` for lines to copy, unless the directory is the default one.
pub fn data_dir_flag(data_dir: &Path, default: Option<&Path>) -> String {
    if Some(data_dir) == default { String::new() } else { format!(" --data-dir {}", data_dir.display()) }
}

fn indent(text: &str) -> String {
    text.lines().filter(|line| !line.is_empty()).map(|line| format!("  {line}\n")).collect()
}
