//! Who may connect to pods: clients to the Kafka listeners, the operator and Prometheus to HTTP, nobody to anything else.

use kube::core::DynamicObject;
use serde_json::json;

use super::Inputs;
use crate::controller::kinds::Kind;
use crate::controller::names::{EXTERNAL_PORT, HTTP_PORT, INTERNAL_PORT};

pub fn build(inputs: &Inputs<'_>) -> DynamicObject {
    let mut kafka_ports = vec![json!({ "protocol": "TCP", "port": INTERNAL_PORT })];
    if inputs.has_external() {
        kafka_ports.push(json!({ "protocol": "TCP", "port": EXTERNAL_PORT }));
    }
    let http_port = json!([{ "protocol": "TCP", "port": HTTP_PORT }]);
    // The operator may be in another namespace; its label says who it is.
    let operator = json!({
        "namespaceSelector": {},
        "podSelector": { "matchLabels": { "app.kubernetes.io/name": "millstream-operator" } },
    });
    let http = if inputs.cluster.spec.monitoring.pod_monitor {
        // Prometheus is wherever it is: HTTP shows nothing of a tenant's records.
        json!({ "ports": http_port })
    } else {
        json!({ "ports": http_port, "from": [operator] })
    };
    let body = json!({
        "spec": {
            "podSelector": { "matchLabels": inputs.names.selector() },
            "policyTypes": ["Ingress"],
            "ingress": [{ "ports": kafka_ports }, http],
        },
    });
    inputs.object(Kind::NetworkPolicy, inputs.names.cluster(), body)
}
