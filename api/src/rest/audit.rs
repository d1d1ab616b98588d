//! audit/v1: who asked for what, and what came of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::ObjectMetadata;

/// `api_version` of this group.
pub const API_VERSION: &str = "audit/v1";

/// One call of the API, permitted or not. Never has bodies or secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Always `audit/v1`.
    pub api_version: String,
    /// Always `AuditEvent`.
    pub kind: String,
    /// The id that the answer carried in `X-Request-Id`.
    pub id: String,
    /// Read-only facts.
    pub metadata: ObjectMetadata,
    /// When the request arrived.
    pub time: DateTime<Utc>,
    /// Who called, as `User:…`.
    pub principal: String,
    /// Id of the credential that was presented. Not secret.
    pub credential_id: String,
    /// Where the request came from.
    pub address: String,
    /// What the client called itself.
    pub user_agent: String,
    /// Id of the operation, as in the OpenAPI document.
    pub operation_id: String,
    /// Method of the request.
    pub method: String,
    /// Path of the request, without its query.
    pub path: String,
    /// Id of the object that the call was about; empty for lists.
    pub resource_id: String,
    /// CRN of the object that the call was about.
    pub resource_name: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// Code of the error; empty for success.
    pub error_code: String,
}
