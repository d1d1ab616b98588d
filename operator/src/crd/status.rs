//! What a physical cluster is.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a physical cluster is, as the controller last saw it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KafkaClusterStatus {
    /// The generation of the spec that all of this is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Types and reasons are listed in the documentation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// Members. An id is allocated once and never given to another member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
    /// Where clients bootstrap.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// What is being done, for a person. Absent when there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What the operation waits for. Empty when it goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked_by: Vec<String>,
    /// Whether a member has run with an object store, and thus may have put something into its bucket.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bucket_in_use: bool,
    /// Certificate authority of this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<CertificateAuthorityStatus>,
}

/// One member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Kafka's node id.
    pub id: i32,
    /// Its node pool.
    pub pool: String,
    /// Its number in the pool; the end of the name of its pod.
    pub ordinal: i32,
    /// Name of its pod.
    pub pod: String,
    /// Name of its volume claim.
    pub claim: String,
    /// What it is doing.
    pub state: NodeState,
    /// Zone of the node that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// What a member is doing.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// There is no pod.
    Absent,
    /// Its pod starts, or does not get there.
    Starting,
    /// It serves.
    Ready,
    /// Its pod is ending.
    Stopping,
}

/// Where clients bootstrap: `host:port`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// From inside of this Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<String>,
    /// From outside. Absent until it is known, and without an external listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<String>,
    /// Addresses that names below the domain have to lead to, by host name; for whoever keeps the DNS.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<String, String>,
}

/// Certificate authority of a cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAuthorityStatus {
    /// ConfigMap with the certificates that clients trust, under `ca.crt`.
    pub config_map: String,
    /// These certificates, as PEM.
    #[serde(default)]
    pub certificates: String,
    /// When the certificate that signs now ends, RFC 3339.
    pub not_after: String,
}
