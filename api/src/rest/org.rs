//! org/v2: organizations and environments.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::ObjectMetadata;

/// `api_version` of this group.
pub const API_VERSION: &str = "org/v2";

/// The outermost wall between tenants, and what is billed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Organization {
    /// Always `org/v2`.
    pub api_version: String,
    /// Always `Organization`.
    pub kind: String,
    /// A UUID.
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// Name for people.
    pub display_name: String,
}

/// A grouping of clusters inside an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Environment {
    /// Always `org/v2`.
    pub api_version: String,
    /// Always `Environment`.
    pub kind: String,
    /// `env-…`
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// Name for people, unique in the organization.
    pub display_name: String,
}

/// Body of `POST /org/v2/environments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateEnvironment {
    /// Name for people, unique in the organization.
    pub display_name: String,
}

/// Body of `PATCH /org/v2/environments/{id}`. Absent fields stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateEnvironment {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}
