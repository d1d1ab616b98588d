//! How clients reach the brokers. The internal listener (SASL_SSL, port 9092 of the bootstrap Service) is always there.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Port of the external listener if none is said.
const DEFAULT_EXTERNAL_PORT: u16 = 9092;

/// Listeners besides the internal one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listeners {
    /// For clients outside of this Kubernetes.
    #[serde(default)]
    pub external: ExternalListener,
}

/// For clients outside of this Kubernetes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.type == 'none' || has(self.domain)")
    .message("listeners.external.domain is needed: clients connect to names below it"))]
#[x_kube(validation = Rule::new("(self.type == 'tlsRoute') == has(self.gateway)")
    .message("listeners.external.gateway is needed for the type tlsRoute, and only there"))]
pub struct ExternalListener {
    /// How connections come in.
    #[serde(rename = "type", default)]
    pub kind: ExternalKind,
    /// Domain of the names: bootstrap is `<physicalClusterId>.<domain>`, a broker `b<id>-<physicalClusterId>.<domain>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 180),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub domain: Option<String>,
    /// Port that clients connect to. A nodePort is chosen by Kubernetes instead.
    #[serde(default = "default_external_port")]
    #[schemars(range(min = 1, max = 65535), extend("format" = "int32"))]
    pub port: u16,
    /// The Gateway that passes TLS through by its server name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayRef>,
}

impl Default for ExternalListener {
    fn default() -> Self {
        Self { kind: ExternalKind::None, domain: None, port: DEFAULT_EXTERNAL_PORT, gateway: None }
    }
}

fn default_external_port() -> u16 {
    DEFAULT_EXTERNAL_PORT
}

/// How connections come in from outside.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ExternalKind {
    /// Not at all.
    #[default]
    None,
    /// A load balancer for the bootstrap and one for each broker.
    LoadBalancer,
    /// A port on every node; names below the domain have to lead to nodes.
    NodePort,
    /// TLS passed through by a Gateway, by the name that the client asks for.
    TlsRoute,
}

/// A Gateway of the Gateway API.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayRef {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; the namespace of this resource if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Its listener; all that match if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}
