//! iam/v2: users, service accounts, API keys and role bindings.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::{ObjectMetadata, ObjectReference, ReferenceInput};
use super::propagation::PropagationStatus;

/// `api_version` of this group.
pub const API_VERSION: &str = "iam/v2";

/// The id that stands for "the cloud itself" as the resource of a Cloud API key.
pub const CLOUD_RESOURCE_ID: &str = "cloud";
/// The kind of the resource of a Cloud API key.
pub const CLOUD_RESOURCE_KIND: &str = "Cloud";

/// An identity for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceAccount {
    /// Always `iam/v2`.
    pub api_version: String,
    /// Always `ServiceAccount`.
    pub kind: String,
    /// `sa-…`
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// Name for people, unique in the organization.
    pub display_name: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
}

/// Body of `POST /iam/v2/service-accounts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateServiceAccount {
    /// Name for people, unique in the organization, at most 64 characters.
    pub display_name: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Body of `PATCH /iam/v2/service-accounts/{id}`. Absent fields stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateServiceAccount {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// New free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Always `iam/v2`.
    pub api_version: String,
    /// Always `User`.
    pub kind: String,
    /// `u-…`
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// Where to write to, and the name under which the user logs in; in lower case, unique in the organization. Empty
    /// for a user who cannot log in.
    pub email: String,
    /// Name for people.
    pub full_name: String,
    /// `AUTH_TYPE_LOCAL`: by password.
    pub auth_type: String,
}

/// Body of `POST /iam/v2/users`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateUser {
    /// Where to write to, and the name under which the user logs in.
    pub email: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// What the user logs in with, 12 to 256 bytes; without it, the user cannot log in yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

/// Body of `PATCH /iam/v2/users/{id}`. Absent fields stay as they are.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateUser {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// New password, 12 to 256 bytes. Ends every session of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

/// Body of `POST /iam/v2/sessions`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateSession {
    /// E-mail address of the user.
    pub email: String,
    /// Password of the user.
    pub password: Secret,
    /// The organization, for users with the same e-mail address and password in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
}

/// A user who logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Always `iam/v2`.
    pub api_version: String,
    /// Always `Session`.
    pub kind: String,
    /// A UUID.
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// The organization that the user is in.
    pub organization_id: String,
    /// The user.
    pub user_id: String,
    /// Always `Bearer`: how the token is sent.
    pub token_type: String,
    /// What to send as `Authorization: Bearer …`.
    pub token: Secret,
    /// When the session ends by itself.
    pub expires_at: chrono::DateTime<chrono::Utc>,
}

/// A credential of one owner: for the control plane (Cloud) or for one Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// Always `iam/v2`.
    pub api_version: String,
    /// Always `ApiKey`.
    pub kind: String,
    /// 16 upper-case letters or digits; the user name that clients present.
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// The key.
    pub spec: ApiKeySpec,
    /// Whether brokers know it; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PropagationStatus>,
}

/// What a key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeySpec {
    /// The secret: present only in the answer that created the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Name for people.
    #[serde(default)]
    pub display_name: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// Whose permissions the key has.
    pub owner: ObjectReference,
    /// What the key opens.
    pub resource: ObjectReference,
}

/// The secret half of an API key. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Body of `POST /iam/v2/api-keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateApiKey {
    /// The key that is asked for.
    pub spec: CreateApiKeySpec,
}

/// The key that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateApiKeySpec {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A service account or a user.
    pub owner: ReferenceInput,
    /// A Kafka cluster; left out for a Cloud API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ReferenceInput>,
}

/// Body of `PATCH /iam/v2/api-keys/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateApiKey {
    /// What shall change.
    #[serde(default)]
    pub spec: UpdateApiKeySpec,
}

/// What shall change. Absent fields stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateApiKeySpec {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// New free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A role of one principal on an organization, an environment, a cluster or some resources in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoleBinding {
    /// Always `iam/v2`.
    pub api_version: String,
    /// Always `RoleBinding`.
    pub kind: String,
    /// `rb-…`
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// Who has the role: `User:` and the id of a user or service account.
    pub principal: String,
    /// One of the predefined roles, such as `CloudClusterAdmin`.
    pub role_name: String,
    /// What the role is for, as it was sent.
    pub crn_pattern: String,
    /// Whether brokers know it; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PropagationStatus>,
}

/// Body of `POST /iam/v2/role-bindings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateRoleBinding {
    /// Who gets the role: `User:` and the id of a user or service account.
    pub principal: String,
    /// One of the predefined roles, such as `CloudClusterAdmin`.
    pub role_name: String,
    /// What the role is for: `crn://confluent.cloud/organization=…` and so on.
    pub crn_pattern: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_form_of_a_key_does_not_show_its_secret() {
        let spec = ApiKeySpec {
            secret: Some(Secret::new("mlst-very-secret".into())),
            display_name: String::new(),
            description: String::new(),
            owner: ObjectReference::default(),
            resource: ObjectReference::default(),
        };
        assert!(!format!("{spec:?}").contains("very-secret"));
        assert!(serde_json::to_string(&spec).expect("it serializes").contains("very-secret"));
    }
}
