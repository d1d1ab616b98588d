//! Error bodies: one form for the control plane, another for kafka/v3.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What every control-plane path answers with a status of 400 and above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// At least one error.
    pub errors: Vec<ErrorItem>,
}

/// One error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorItem {
    /// Id of this occurrence: that of the request.
    pub id: String,
    /// HTTP status, as a string.
    pub status: String,
    /// Stable name of the kind of error.
    pub code: String,
    /// Short text for a person, the same for each error of this kind.
    pub title: String,
    /// What happened here and what to do about it.
    pub detail: String,
    /// Which part of the request is meant.
    #[serde(default, skip_serializing_if = "ErrorSource::is_empty")]
    pub source: ErrorSource,
}

/// The part of the request that an error is about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ErrorSource {
    /// JSON Pointer into the request body; the empty string is the whole body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Name of the query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

impl ErrorSource {
    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.pointer.is_none() && self.parameter.is_none()
    }
}

/// What kafka/v3 paths answer with a status of 400 and above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KafkaErrorBody {
    /// HTTP status, sometimes followed by two digits that say more.
    pub error_code: u32,
    /// What happened.
    pub message: String,
}
