//! What a broker needs to be told before it starts. Everything else comes from its data directory, from the
//! cluster metadata log, or from the control plane.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_api::ids::PhysicalClusterId;

/// Configuration of one broker process.
pub struct BrokerConfig {
    /// The physical cluster this broker belongs to.
    pub physical_cluster_id: PhysicalClusterId,
    /// Kafka's node id of this broker; unique inside the physical cluster.
    pub broker_id: i32,
    /// Where partitions, metadata and the configuration image live. Created if missing; held by one process.
    pub data_dir: PathBuf,
    /// Where Kafka clients come in, one at least. A client is told the names of the listener that it came in by.
    pub listeners: Vec<KafkaListener>,
    /// Bound listener for kafka/v3, health and metrics over HTTP.
    pub http_listener: TcpListener,
    /// Whether other machines may read the metrics, too.
    pub open_metrics: bool,
    /// Where the control plane's fleet protocol is served; without it the broker lives on its last image.
    pub fleet: Option<FleetEndpoint>,
    /// Where metadata snapshots (and later old segments) are kept.
    pub object_store: Option<ObjectStoreConfig>,
    /// Partitions of a topic that a client creates without saying how many (`num.partitions`).
    pub default_partitions: i32,
    /// Whether a metadata request may create a topic (`auto.create.topics.enable`).
    pub auto_create_topics: bool,
    /// How long a new consumer group waits for more members (`group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay_ms: i32,
}

/// One listener of the Kafka protocol.
pub struct KafkaListener {
    /// What it is called, such as `EXTERNAL`; unique inside the broker.
    pub name: String,
    /// The bound socket.
    pub socket: TcpListener,
    /// Host that its clients are told to connect to.
    pub advertised_host: String,
    /// Port that its clients are told to connect to.
    pub advertised_port: u16,
    /// Its TLS. Without it the listener is SASL_PLAINTEXT.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// How to reach the control plane's fleet protocol.
#[derive(Clone)]
pub struct FleetEndpoint {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// The broker token of this physical cluster.
    pub token: TokenSource,
    /// Authorities of the control plane's certificate, a PEM file; `None` for those of the system. Read at every dial.
    pub ca_file: Option<PathBuf>,
    /// What this broker shows when the control plane asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
}

impl FleetEndpoint {
    /// Without certificates, with a token that is known.
    pub fn plain(url: &str, token: &str) -> Self {
        let token = TokenSource::Value(token.to_owned());
        Self { url: url.to_owned(), token, ca_file: None, client_certificate: None }
    }
}

/// Where a broker token is.
#[derive(Clone)]
pub enum TokenSource {
    /// In memory.
    Value(String),
    /// In a file, read at every dial, so that a token can be changed without a restart.
    File(PathBuf),
}

/// A client certificate and its key, as PEM files that are read at every dial.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The certificate chain, the broker's own first.
    pub certificate_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
}

/// How to reach the object store.
#[derive(Clone)]
pub struct ObjectStoreConfig {
    /// Name of the bucket; it must exist.
    pub bucket: String,
    /// Put before every key, without a slash at either end.
    pub prefix: String,
    /// Custom endpoint; `None` for AWS itself.
    pub endpoint_url: Option<String>,
    /// Region to sign for.
    pub region: String,
    /// An access key; `None` for the chain of the AWS SDK.
    pub credentials: Option<ObjectStoreCredentials>,
    /// Address buckets by path instead of by host name, as most other stores need.
    pub force_path_style: bool,
}

/// Where the access key of the object store is. Never printed.
#[derive(Clone)]
pub enum ObjectStoreCredentials {
    /// In memory.
    Values {
        /// Access key id.
        access_key_id: String,
        /// Secret access key.
        secret_access_key: String,
    },
    /// In files of one line, read at every request, so that a key can be changed without a restart.
    Files {
        /// File with the access key id.
        access_key_id: PathBuf,
        /// File with the secret access key.
        secret_access_key: PathBuf,
    },
}
