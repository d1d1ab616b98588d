//! The control plane that tells the brokers about their tenants.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::reference::SecretKeyRef;

/// How the brokers reach the control plane.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.endpoint.startsWith('https://') || (has(self.insecure) && self.insecure)")
    .message("controlPlane.endpoint would show the token to the network: use https://, or set controlPlane.insecure"))]
pub struct ControlPlane {
    /// URL of the fleet protocol with its port: `https://millstream-fleet.millstream.svc:8081`.
    #[schemars(length(max = 253), regex(pattern = r"^https?://[^/ ]+:[0-9]{1,5}/?$"))]
    pub endpoint: String,
    /// Allows `http://`, which shows the token to the network.
    #[serde(default)]
    pub insecure: bool,
    /// The token of this physical cluster.
    pub token_secret_ref: SecretKeyRef,
    /// The certificate authority of the control plane; the public ones if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
}
