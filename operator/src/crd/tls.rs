//! Certificates of the listeners: of a certificate authority of this cluster, or given.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Certificates of the listeners.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// Secret of the type `kubernetes.io/tls` with a certificate for `*.<domain>`, presented by the external listener.
    /// It is looked at every minute; one that fits reaches brokers without a restart, another one never does. Without it the certificate authority of this cluster signs for those names too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_certificate: Option<CertificateSecret>,
}

/// A Secret of the type `kubernetes.io/tls` in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}
