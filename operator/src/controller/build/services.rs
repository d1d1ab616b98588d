//! Services: names of pods, bootstrap from inside, and what leads clients from outside to each broker.

use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::Inputs;
use crate::controller::kinds::Kind;
use crate::controller::names::{EXTERNAL_PORT, HTTP_PORT, INTERNAL_PORT, POD_NAME_LABEL};
use crate::crd::listeners::ExternalKind;

pub fn build(inputs: &Inputs<'_>) -> Vec<DynamicObject> {
    let names = inputs.names;
    let mut services = vec![headless(inputs), bootstrap(inputs)];
    if !inputs.has_external() {
        return services;
    }
    let everyone = json!(names.selector());
    services.push(external(inputs, &names.external_service(), &names.external_bootstrap_host(), everyone));
    for node in inputs.nodes {
        let mut one = json!(names.selector());
        one[POD_NAME_LABEL] = json!(node.pod);
        let service = names.external_broker_service(node.id);
        services.push(external(inputs, &service, &names.external_broker_host(node.id), one));
    }
    services
}

/// Gives pods their names. Brokers find each other, and clients find a broker, before it is ready.
fn headless(inputs: &Inputs<'_>) -> DynamicObject {
    let body = json!({
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": inputs.names.selector(),
            "ports": [
                { "name": "kafka", "port": INTERNAL_PORT, "targetPort": INTERNAL_PORT, "protocol": "TCP" },
                { "name": "http", "port": HTTP_PORT, "targetPort": HTTP_PORT, "protocol": "TCP" },
            ],
        },
    });
    inputs.object(Kind::Service, &inputs.names.headless_service(), body)
}

fn bootstrap(inputs: &Inputs<'_>) -> DynamicObject {
    let body = json!({
        "spec": {
            "type": "ClusterIP",
            "selector": inputs.names.selector(),
            "ports": [{ "name": "kafka", "port": INTERNAL_PORT, "targetPort": INTERNAL_PORT, "protocol": "TCP" }],
        },
    });
    inputs.object(Kind::Service, &inputs.names.bootstrap_service(), body)
}

fn external(inputs: &Inputs<'_>, name: &str, host: &str, selector: Value) -> DynamicObject {
    let listener = inputs.external();
    let (kind, port) = match listener.kind {
        ExternalKind::LoadBalancer => ("LoadBalancer", listener.port),
        ExternalKind::NodePort => ("NodePort", EXTERNAL_PORT),
        ExternalKind::None | ExternalKind::TlsRoute => ("ClusterIP", EXTERNAL_PORT),
    };
    let mut body = json!({
        "spec": {
            "type": kind,
            "selector": selector,
            "ports": [{ "name": "kafka", "port": port, "targetPort": EXTERNAL_PORT, "protocol": "TCP" }],
        },
    });
    if listener.kind == ExternalKind::LoadBalancer {
        // Read by external-dns, which keeps the DNS where it is installed.
        body["metadata"]["annotations"]["external-dns.alpha.kubernetes.io/hostname"] = json!(host);
    }
    inputs.object(Kind::Service, name, body)
}
