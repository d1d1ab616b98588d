//! kafka-quotas/v1: client quotas, the byte rates of principals in one cluster.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::{ObjectMetadata, ObjectReference, ReferenceInput};

/// `api_version` of this group.
pub const API_VERSION: &str = "kafka-quotas/v1";
/// The id that stands for every principal without a quota of its own.
pub const DEFAULT_PRINCIPAL: &str = "<default>";

/// How many bytes per second each of some principals may move in one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientQuota {
    /// Always `kafka-quotas/v1`.
    pub api_version: String,
    /// Always `ClientQuota`.
    pub kind: String,
    /// `cq-…`
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// What the quota is.
    pub spec: ClientQuotaSpec,
}

/// What a client quota is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientQuotaSpec {
    /// Name for people.
    pub display_name: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// What each of the principals may move.
    pub throughput: Throughput,
    /// The Dedicated cluster that it holds in.
    pub cluster: ObjectReference,
    /// Whom it holds for: service accounts, or `<default>` for everybody without a quota of their own.
    pub principals: Vec<ObjectReference>,
    /// The environment of the cluster.
    pub environment: ObjectReference,
}

/// Bytes per second, as decimal numbers in strings: they do not fit a JSON number everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Throughput {
    /// Bytes that may be produced per second.
    #[schema(pattern = "^[0-9]{1,19}$")]
    pub ingress_byte_rate: String,
    /// Bytes that may be fetched per second.
    #[schema(pattern = "^[0-9]{1,19}$")]
    pub egress_byte_rate: String,
}

/// Body of `POST /kafka-quotas/v1/client-quotas`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateClientQuota {
    /// The quota that is asked for.
    pub spec: CreateClientQuotaSpec,
}

/// The quota that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateClientQuotaSpec {
    /// Name for people.
    pub display_name: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What each of the principals may move.
    pub throughput: Throughput,
    /// A Dedicated cluster.
    pub cluster: ReferenceInput,
    /// Service accounts, or `<default>`.
    pub principals: Vec<ReferenceInput>,
    /// The environment of the cluster.
    pub environment: ReferenceInput,
}

/// Body of `PATCH /kafka-quotas/v1/client-quotas/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateClientQuota {
    /// What shall change.
    #[serde(default)]
    pub spec: UpdateClientQuotaSpec,
}

/// What shall change. Absent fields stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateClientQuotaSpec {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// New free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// New rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Throughput>,
    /// All principals from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principals: Option<Vec<ReferenceInput>>,
    /// Cannot change: must be the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ReferenceInput>,
    /// Cannot change: must be the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<ReferenceInput>,
}
