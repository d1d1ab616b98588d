//! Where copies of the cluster metadata are kept.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// An S3 bucket.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(has(self.prefix) ? self.prefix : '') == (has(oldSelf.prefix) ? oldSelf.prefix : '')")
    .message("objectStore.prefix cannot change: the data is below it"))]
pub struct ObjectStore {
    /// Name of the bucket; it has to exist. Never changes.
    #[schemars(length(min = 3, max = 63), regex(pattern = r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("objectStore.bucket cannot change: the data is in it"))]
    pub bucket: String,
    /// Put before every key; `physicalClusterId` if left out. Never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._/-]*[a-zA-Z0-9]$"))]
    pub prefix: Option<String>,
    /// Region of the bucket.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,
    /// URL of the store; that of AWS for the region if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^https?://[^/ ]+/?$"))]
    pub endpoint: Option<String>,
    /// Whether the bucket is part of the path instead of the host name, as most stores besides AWS need.
    #[serde(default)]
    pub path_style: bool,
    /// Who the brokers are for the store.
    pub credentials: Credentials,
}

/// Who the brokers are for the store: exactly one of the two.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.existingSecret) != has(self.serviceAccount)")
    .message("objectStore.credentials needs exactly one of existingSecret and serviceAccount"))]
pub struct Credentials {
    /// An access key in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_secret: Option<AccessKeySecret>,
    /// A ServiceAccount that the cloud knows (IRSA, workload identity); the brokers run as it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountRef>,
}

/// An access key in a Secret in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessKeySecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the access key id in its data.
    #[serde(default = "default_access_key_id")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub access_key_id_key: String,
    /// Key of the secret access key in its data.
    #[serde(default = "default_secret_access_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub secret_access_key_key: String,
}

fn default_access_key_id() -> String {
    "access-key-id".to_owned()
}

fn default_secret_access_key() -> String {
    "secret-access-key".to_owned()
}

/// A ServiceAccount in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccountRef {
    /// Name of the ServiceAccount.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
