//! The configuration file of one broker, `broker.toml`: written by the operator or by hand, read by `millstream broker`.
//!
//! Promises: holds no secret, only the paths of files that do; [`BrokerFile::check`] finds everything that can be found
//! without touching a file or a socket, and names the field and the remedy. Unknown fields are refused.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ids::PhysicalClusterId;

/// Listeners of one broker at most.
pub const MAX_LISTENERS: usize = 8;
/// Characters of a listener's name at most.
const MAX_LISTENER_NAME_CHARS: usize = 64;
/// Characters of a host name at most, as DNS has it.
const MAX_HOST_CHARS: usize = 255;
/// Partitions of a new topic at most that a default may give.
const MAX_DEFAULT_PARTITIONS: i32 = 1_000;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerFile {
    /// The physical cluster that the broker belongs to, `pkc-…`.
    pub physical_cluster_id: PhysicalClusterId,
    /// Kafka's node id, unique inside the physical cluster.
    pub broker_id: i32,
    /// Where everything that the broker keeps is. Made if missing.
    pub data_dir: PathBuf,
    /// Health, metrics and kafka/v3.
    pub http: Http,
    /// How to reach the control plane. Without it the broker lives on what it was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<Fleet>,
    /// Where copies of the cluster metadata are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_store: Option<ObjectStore>,
    /// What clients do not say about new topics and groups.
    #[serde(default)]
    pub defaults: Defaults,
    /// Where Kafka clients come in. A client is told the names of the listener that it came in by.
    pub listeners: Vec<Listener>,
}

/// The HTTP listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port to listen on.
    pub bind: SocketAddr,
    /// Shows `/metrics` to other machines as well, for a Prometheus elsewhere. They name tenants and what they do.
    #[serde(default, skip_serializing_if = "is_false")]
    pub open_metrics: bool,
}

/// One listener of the Kafka protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Such as `INTERNAL` or `EXTERNAL`. The same at every broker of the physical cluster.
    pub name: String,
    /// Address and port to listen on.
    pub bind: SocketAddr,
    /// Host that its clients are told to connect to.
    pub advertised_host: String,
    /// Port that its clients are told to connect to; the bound one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertised_port: Option<u16>,
    /// Its certificate; SASL_SSL with it, SASL_PLAINTEXT without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// A server certificate. Both files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain as PEM, the server's own first.
    pub certificate_file: PathBuf,
    /// The private key as PEM.
    pub key_file: PathBuf,
}

/// How to reach the control plane. All files are read again at every dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// `https://host:port`.
    pub url: String,
    /// The broker token of this physical cluster.
    pub token_file: PathBuf,
    /// Authorities of the control plane's certificate as PEM; those of the system if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// What the broker shows when the control plane asks for a certificate, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_file: Option<PathBuf>,
    /// The private key of that certificate, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<PathBuf>,
    /// Allows `http://` to another machine, which shows the token to the network.
    #[serde(default, skip_serializing_if = "is_false")]
    pub insecure: bool,
}

/// An S3 bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectStore {
    /// It must exist.
    pub bucket: String,
    /// Put before every key, without a slash at either end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The region to sign for.
    pub region: String,
    /// `https://host:port` of another S3 than that of AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Addresses buckets by path instead of by host name, as most other stores need.
    #[serde(default, skip_serializing_if = "is_false")]
    pub path_style: bool,
    /// The access key id; without both files the AWS SDK looks for credentials, for instance of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id_file: Option<PathBuf>,
    /// The secret access key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_access_key_file: Option<PathBuf>,
}

/// What clients do not say about new topics and groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Partitions of a new topic (`num.partitions`).
    pub partitions: i32,
    /// Whether asking for a topic makes it (`auto.create.topics.enable`).
    pub auto_create_topics: bool,
    /// How long a new consumer group waits for more members (`group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay_ms: i32,
}

impl Default for Defaults {
    /// As Confluent Cloud has it.
    fn default() -> Self {
        Self { partitions: 6, auto_create_topics: false, initial_rebalance_delay_ms: 3_000 }
    }
}

/// What is wrong with a file, by field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}: {remedy}")]
pub struct BrokerFileError {
    /// The field, such as `listeners[0].name`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

impl BrokerFile {
    /// Finds what cannot work.
    pub fn check(&self) -> Result<(), BrokerFileError> {
        if self.broker_id < 0 {
            return Err(wrong("broker_id", "is negative", "number brokers from 0"));
        }
        if !self.data_dir.is_absolute() {
            return Err(wrong("data_dir", "is not an absolute path", "begin it with a slash"));
        }
        self.check_listeners()?;
        if let Some(fleet) = &self.fleet {
            fleet.check()?;
        }
        if let Some(object_store) = &self.object_store {
            object_store.check()?;
        }
        self.defaults.check()
    }

    fn check_listeners(&self) -> Result<(), BrokerFileError> {
        if self.listeners.is_empty() || self.listeners.len() > MAX_LISTENERS {
            let problem = format!("has {} entries", self.listeners.len());
            return Err(wrong("listeners", problem, "name 1 to 8 of them, each as [[listeners]]"));
        }
        let mut names = BTreeSet::new();
        let mut sockets = BTreeSet::from([self.http.bind]);
        for (index, listener) in self.listeners.iter().enumerate() {
            let field = |name: &str| format!("listeners[{index}].{name}");
            listener.check(&field)?;
            if !names.insert(&listener.name) {
                let problem = format!("is {:?} twice", listener.name);
                return Err(wrong(field("name"), problem, "give each listener a name of its own"));
            }
            let is_taken = listener.bind.port() != 0 && !sockets.insert(listener.bind);
            if is_taken {
                let problem = format!("is {}, which another listener has", listener.bind);
                return Err(wrong(field("bind"), problem, "choose another port"));
            }
        }
        Ok(())
    }
}

impl Listener {
    fn check(&self, field: &dyn Fn(&str) -> String) -> Result<(), BrokerFileError> {
        let is_name_char = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let name_is_good =
            (1..=MAX_LISTENER_NAME_CHARS).contains(&self.name.len()) && self.name.bytes().all(is_name_char);
        if !name_is_good {
            let problem = format!("is {:?}", self.name);
            return Err(wrong(field("name"), problem, "use 1 to 64 capital letters, digits, _ and -"));
        }
        let is_address = self.advertised_host.parse::<IpAddr>().is_ok_and(|address| !address.is_unspecified());
        if !is_address && !is_host_name(&self.advertised_host) {
            let problem = format!("is {:?}", self.advertised_host);
            let remedy = "give the host name or address that clients reach this broker by, without a port";
            return Err(wrong(field("advertised_host"), problem, remedy));
        }
        if self.advertised_port == Some(0) {
            return Err(wrong(
                field("advertised_port"),
                "is 0",
                "give the port that clients connect to, or leave it out",
            ));
        }
        Ok(())
    }
}

impl Fleet {
    fn check(&self) -> Result<(), BrokerFileError> {
        let (host, is_encrypted) = match (self.url.strip_prefix("https://"), self.url.strip_prefix("http://")) {
            (Some(rest), _) => (host_of(rest), true),
            (None, Some(rest)) => (host_of(rest), false),
            (None, None) => (None, false),
        };
        let Some(host) = host else {
            return Err(wrong("fleet.url", format!("is {:?}", self.url), "write it as https://host:port"));
        };
        let stays_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if !is_encrypted && !stays_here && !self.insecure {
            let remedy = "use https://, or set fleet.insecure = true";
            return Err(wrong("fleet.url", "would show the broker token to the network", remedy));
        }
        if self.client_certificate_file.is_some() != self.client_key_file.is_some() {
            let remedy = "set both fleet.client_certificate_file and fleet.client_key_file, or neither";
            return Err(wrong("fleet.client_certificate_file", "and its key belong together", remedy));
        }
        Ok(())
    }
}

impl ObjectStore {
    fn check(&self) -> Result<(), BrokerFileError> {
        if self.bucket.is_empty() || self.bucket.contains('/') {
            return Err(wrong("object_store.bucket", format!("is {:?}", self.bucket), "give the name of a bucket"));
        }
        if self.prefix.starts_with('/') || self.prefix.ends_with('/') {
            return Err(wrong("object_store.prefix", "has a slash at an end", "leave the slash out"));
        }
        if self.region.is_empty() {
            return Err(wrong("object_store.region", "is empty", "give the region to sign for, such as us-east-1"));
        }
        let endpoint_is_good = self.endpoint.as_deref().is_none_or(|url| {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            rest.is_some_and(|rest| !rest.is_empty())
        });
        if !endpoint_is_good {
            let problem = format!("is {:?}", self.endpoint.as_deref().unwrap_or_default());
            return Err(wrong(
                "object_store.endpoint",
                problem,
                "write it as https://host:port, or leave it out for AWS",
            ));
        }
        if self.access_key_id_file.is_some() != self.secret_access_key_file.is_some() {
            let remedy = "set both object_store.access_key_id_file and object_store.secret_access_key_file, or neither";
            return Err(wrong("object_store.access_key_id_file", "and its secret belong together", remedy));
        }
        Ok(())
    }
}

impl Defaults {
    fn check(&self) -> Result<(), BrokerFileError> {
        if !(1..=MAX_DEFAULT_PARTITIONS).contains(&self.partitions) {
            return Err(wrong("defaults.partitions", format!("is {}", self.partitions), "choose 1 to 1000"));
        }
        if self.initial_rebalance_delay_ms < 0 {
            return Err(wrong("defaults.initial_rebalance_delay_ms", "is negative", "choose 0 or more milliseconds"));
        }
        Ok(())
    }
}

/// The host of what follows a scheme; none unless a port follows it.
fn host_of(authority: &str) -> Option<&str> {
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = authority.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let unbracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = unbracketed.unwrap_or(host);
    (host.parse::<IpAddr>().is_ok() || is_host_name(host)).then_some(host)
}

fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
    };
    // What looks like an address but is none is not a name either.
    let is_numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    host.len() <= MAX_HOST_CHARS && !is_numeric && host.strip_suffix('.').unwrap_or(host).split('.').all(is_label)
}

fn is_false(value: &bool) -> bool {
    !value
}

fn wrong(field: impl Into<String>, problem: impl Into<String>, remedy: &'static str) -> BrokerFileError {
    BrokerFileError { field: field.into(), problem: problem.into(), remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> BrokerFile {
        serde_json::from_value(serde_json::json!({
            "physical_cluster_id": "pkc-abc",
            "broker_id": 0,
            "data_dir": "/var/lib/millstream",
            "http": { "bind": "0.0.0.0:9080" },
            "fleet": { "url": "https://fleet.example.com:8081", "token_file": "/secrets/token" },
            "object_store": { "bucket": "b", "region": "us-east-1" },
            "listeners": [
                { "name": "INTERNAL", "bind": "0.0.0.0:9092", "advertised_host": "broker-0.pkc-abc.svc" },
                { "name": "EXTERNAL", "bind": "0.0.0.0:9093", "advertised_host": "10.0.0.1", "advertised_port": 443 },
            ],
        }))
        .expect("a file")
    }

    /// What is found after a change, as `field problem: remedy`.
    fn check(change: impl FnOnce(&mut BrokerFile)) -> String {
        let mut file = file();
        change(&mut file);
        file.check().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_file_that_can_work_passes() {
        assert_eq!(check(|_| {}), "");
        assert_eq!(check(|file| fleet(file).url = "http://127.0.0.1:8081".into()), "");
        assert_eq!(check(|file| fleet(file).url = "https://[::1]:8081".into()), "");
        assert_eq!(
            check(|file| {
                fleet(file).url = "http://fleet:8081".into();
                fleet(file).insecure = true;
            }),
            ""
        );
    }

    fn fleet(file: &mut BrokerFile) -> &mut Fleet {
        file.fleet.as_mut().expect("it is there")
    }

    fn store(file: &mut BrokerFile) -> &mut ObjectStore {
        file.object_store.as_mut().expect("it is there")
    }

    #[test]
    fn what_cannot_work_is_named_with_its_field() {
        type Change = fn(&mut BrokerFile);
        let cases: &[(Change, &str)] = &[
            (|file| file.broker_id = -1, "broker_id"),
            (|file| file.data_dir = "data".into(), "data_dir"),
            (|file| file.listeners.clear(), "listeners"),
            (|file| file.listeners = vec![file.listeners[0].clone(); 9], "listeners"),
            (|file| file.listeners[1].name = "INTERNAL".into(), "listeners[1].name"),
            (|file| file.listeners[0].name = "internal".into(), "listeners[0].name"),
            (|file| file.listeners[1].bind = file.listeners[0].bind, "listeners[1].bind"),
            (|file| file.listeners[0].bind = file.http.bind, "listeners[0].bind"),
            (|file| file.listeners[0].advertised_host = "host:9092".into(), "listeners[0].advertised_host"),
            (|file| file.listeners[0].advertised_host = "0.0.0.0".into(), "listeners[0].advertised_host"),
            (|file| file.listeners[0].advertised_host = "1.2.3".into(), "listeners[0].advertised_host"),
            (|file| file.listeners[0].advertised_host = String::new(), "listeners[0].advertised_host"),
            (|file| file.listeners[0].advertised_port = Some(0), "listeners[0].advertised_port"),
            (|file| fleet(file).url = "fleet:8081".into(), "fleet.url"),
            (|file| fleet(file).url = "https://fleet".into(), "fleet.url"),
            (|file| fleet(file).url = "http://fleet:8081".into(), "fleet.url"),
            (|file| fleet(file).client_key_file = Some("/key".into()), "fleet.client_certificate_file"),
            (|file| store(file).bucket = "a/b".into(), "object_store.bucket"),
            (|file| store(file).prefix = "a/".into(), "object_store.prefix"),
            (|file| store(file).region = String::new(), "object_store.region"),
            (|file| store(file).endpoint = Some("minio:9000".into()), "object_store.endpoint"),
            (|file| store(file).access_key_id_file = Some("/id".into()), "object_store.access_key_id_file"),
            (|file| file.defaults.partitions = 0, "defaults.partitions"),
            (|file| file.defaults.initial_rebalance_delay_ms = -1, "defaults.initial_rebalance_delay_ms"),
        ];
        for (change, field) in cases {
            let found = check(change);
            assert!(found.starts_with(&format!("{field} ")), "{field}: {found:?}");
        }
    }
}
