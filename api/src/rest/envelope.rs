//! What surrounds every object: metadata, references and pages.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Read-only facts about one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectMetadata {
    /// Where this object is read.
    #[serde(rename = "self")]
    pub self_url: String,
    /// The object's name as a CRN, `crn://confluent.cloud/organization=…/…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// When it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<DateTime<Utc>>,
}

/// A reference to another object, as the server returns it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ObjectReference {
    /// Id of the object.
    pub id: String,
    /// Where the object is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<String>,
    /// The object's CRN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// API group and version of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// A reference to another object, as a client sends it. Only the id and the kind are read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ReferenceInput {
    /// Id of the object.
    pub id: String,
    /// Kind of the object, where the id alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl ReferenceInput {
    /// A reference by id alone.
    pub fn to(id: impl Into<String>) -> Self {
        Self { id: id.into(), kind: None }
    }
}

/// Links between the pages of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ListMetadata {
    /// URL of the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// URL of the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// URL of the page before this one; absent on the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<String>,
    /// URL of the page after this one; absent on the last, never `null`: `null` crashes a client in wide use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Objects on all pages together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_size: Option<u64>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// API group and version.
    pub api_version: String,
    /// Kind of the list: the kind of its objects followed by `List`.
    pub kind: String,
    /// Links to the other pages.
    pub metadata: ListMetadata,
    /// The objects of this page.
    pub data: Vec<T>,
}
