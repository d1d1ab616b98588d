//! cmk/v2: Kafka clusters.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::{ObjectMetadata, ObjectReference, ReferenceInput};

/// `api_version` of this group.
pub const API_VERSION: &str = "cmk/v2";

/// A Kafka cluster as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    /// Always `cmk/v2`.
    pub api_version: String,
    /// Always `Cluster`.
    pub kind: String,
    /// `lkc-…`
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// What was asked for, and where to connect.
    pub spec: ClusterSpec,
    /// What is.
    pub status: ClusterStatus,
}

/// What was asked for, and where to connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterSpec {
    /// Name for people, unique in the environment.
    pub display_name: String,
    /// How many zones.
    pub availability: Availability,
    /// Cloud provider.
    pub cloud: Cloud,
    /// Region of the cloud provider.
    pub region: String,
    /// Kind of cluster.
    pub config: ClusterConfig,
    /// Whether it can be deleted only after this is switched off. Only Dedicated clusters have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// The environment it lives in.
    pub environment: ObjectReference,
    /// `host:port` that Kafka clients bootstrap from. Absent until known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_bootstrap_endpoint: Option<String>,
    /// URL in front of `/kafka/v3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_endpoint: Option<String>,
}

/// Kind and size of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterConfig {
    /// Basic, Standard, Enterprise, Freight or Dedicated.
    pub kind: ClusterKind,
    /// Capacity of a Dedicated cluster, in CKUs. Required there, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cku: Option<u32>,
    /// The most eCKUs that a cluster of another kind may use. Left out, it may use what its kind allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ecku: Option<u32>,
}

impl ClusterConfig {
    /// A kind without a size.
    pub fn of_kind(kind: ClusterKind) -> Self {
        Self { kind, cku: None, max_ecku: None }
    }
}

/// The kinds of clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ClusterKind {
    /// Shares brokers, smallest.
    Basic,
    /// Shares brokers.
    Standard,
    /// Shares brokers on private networks.
    Enterprise,
    /// For large volumes that may wait.
    Freight,
    /// Has its own brokers.
    Dedicated,
}

impl ClusterKind {
    /// The kind as it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "Basic",
            Self::Standard => "Standard",
            Self::Enterprise => "Enterprise",
            Self::Freight => "Freight",
            Self::Dedicated => "Dedicated",
        }
    }
}

/// How many zones a cluster spans. `LOW` and `HIGH` are newer words for the same two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Availability {
    /// One zone.
    SingleZone,
    /// Several zones.
    MultiZone,
    /// One zone.
    Low,
    /// Several zones.
    High,
}

impl Availability {
    /// Whether the cluster spans zones.
    pub fn is_multi_zone(self) -> bool {
        matches!(self, Self::MultiZone | Self::High)
    }
}

/// Cloud providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Gcp,
    /// Microsoft Azure.
    Azure,
}

/// What a cluster is at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterStatus {
    /// PROVISIONING until every live broker knows the cluster, then PROVISIONED.
    pub phase: ClusterPhase,
    /// The CKUs that a Dedicated cluster has now. Differs from `spec.config.cku` while its size changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cku: Option<u32>,
    /// Why the cluster is not ready, for its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Certificates, as PEM, that Kafka clients have to trust. Absent where the public authorities are enough. Confluent
    /// Cloud does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_ca_certificate: Option<String>,
}

/// The phases of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClusterPhase {
    /// Being made.
    Provisioning,
    /// Ready.
    Provisioned,
    /// Could not be made.
    Failed,
}

/// Body of `POST /cmk/v2/clusters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateCluster {
    /// What is asked for.
    pub spec: CreateClusterSpec,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateClusterSpec {
    /// Name for people, unique in the environment.
    pub display_name: String,
    /// How many zones.
    pub availability: Availability,
    /// Cloud provider.
    pub cloud: Cloud,
    /// Region of the cloud provider.
    pub region: String,
    /// Kind of cluster.
    pub config: ClusterConfig,
    /// Whether it can be deleted only after this is switched off. Only Dedicated clusters can have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// The environment it shall live in.
    pub environment: ReferenceInput,
}

/// Body of `PATCH /cmk/v2/clusters/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateCluster {
    /// What shall change, and the environment of the cluster.
    pub spec: UpdateClusterSpec,
}

/// What shall change. Absent fields stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateClusterSpec {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Cannot be changed: accepted only with its present value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<Availability>,
    /// Cannot be changed: accepted only with its present value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<Cloud>,
    /// Cannot be changed: accepted only with its present value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// New kind or size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ClusterConfig>,
    /// Whether it can be deleted only after this is switched off. Only Dedicated clusters can have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// The environment of the cluster. Required here unless the query parameter `environment` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<ReferenceInput>,
}
