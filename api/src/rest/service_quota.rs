//! service-quota/v1: the limits on numbers of objects that hold for the caller's organization.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::{ObjectMetadata, ObjectReference};

/// `api_version` of this group.
pub const API_VERSION: &str = "service-quota/v1";

/// One limit of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppliedQuota {
    /// Always `service-quota/v1`.
    pub api_version: String,
    /// Always `AppliedQuota`.
    pub kind: String,
    /// The quota's code, such as `iam.max_environments.per_org`.
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// What the quota belongs to: `ORGANIZATION`, `ENVIRONMENT`, `KAFKA_CLUSTER`, `SERVICE_ACCOUNT` or `USER_ACCOUNT`.
    pub scope: String,
    /// Name for people.
    pub display_name: String,
    /// The limit that holds unless the operator of the installation raised it.
    pub default_limit: i64,
    /// The limit that holds.
    pub applied_limit: i64,
    /// How much of it is in use.
    pub usage: i64,
    /// The organization.
    pub organization: ObjectReference,
    /// The environment that it belongs to, or that the cluster is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<ObjectReference>,
    /// The cluster that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_cluster: Option<ObjectReference>,
    /// The service account that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ObjectReference>,
    /// The user that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<ObjectReference>,
}

/// What quotas can belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scope {
    /// Always `service-quota/v1`.
    pub api_version: String,
    /// Always `Scope`.
    pub kind: String,
    /// The scope's name, such as `ORGANIZATION`.
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// What it is.
    pub description: String,
}
