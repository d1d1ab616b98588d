//! What a person asks for while operating a cluster.

use k8s_openapi::jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What a person asks for.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Maintenance {
    /// Nothing is changed while this is true; the status still says what is.
    #[serde(default)]
    pub paused: bool,
    /// Every member that started before this time is restarted, one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub restarted_at: Option<Timestamp>,
}
