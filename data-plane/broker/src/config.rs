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
    /// Bound listener of the Kafka protocol.
    pub kafka_listener: TcpListener,
    /// Host that clients are told to connect to.
    pub advertised_host: String,
    /// Port that clients are told to connect to.
    pub advertised_port: u16,
    /// TLS for the Kafka listener. Without it the listener is SASL_PLAINTEXT.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Bound listener for kafka/v3, health and metrics over HTTP.
    pub http_listener: TcpListener,
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

/// How to reach the control plane's fleet protocol.
#[derive(Clone)]
pub struct FleetEndpoint {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// The broker token of this physical cluster.
    pub token: String,
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
    /// Static credentials; `None` for the chain of the AWS SDK.
    pub credentials: Option<ObjectStoreCredentials>,
    /// Address buckets by path instead of by host name, as most other stores need.
    pub force_path_style: bool,
}

/// Static credentials of the object store. Never printed.
#[derive(Clone)]
pub struct ObjectStoreCredentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
}
