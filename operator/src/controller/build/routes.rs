//! TLSRoutes: a Gateway passes TLS through by the name that the client asks for.

use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::Inputs;
use crate::controller::kinds::Kind;
use crate::controller::names::EXTERNAL_PORT;
use crate::crd::listeners::{ExternalKind, GatewayRef};

/// One for the bootstrap and one for each broker.
pub fn build(inputs: &Inputs<'_>) -> Vec<DynamicObject> {
    let names = inputs.names;
    let Some(gateway) = &inputs.external().gateway else { return Vec::new() };
    if inputs.external().kind != ExternalKind::TlsRoute || !inputs.served.has(Kind::TlsRoute) {
        return Vec::new();
    }
    let bootstrap = spec(gateway, &names.external_bootstrap_host(), &names.external_service());
    let mut routes = vec![inputs.object(Kind::TlsRoute, &names.external_service(), bootstrap)];
    for node in inputs.nodes {
        let service = names.external_broker_service(node.id);
        let body = spec(gateway, &names.external_broker_host(node.id), &service);
        routes.push(inputs.object(Kind::TlsRoute, &service, body));
    }
    routes
}

fn spec(gateway: &GatewayRef, host: &str, service: &str) -> Value {
    let mut parent = json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.name });
    if let Some(namespace) = &gateway.namespace {
        parent["namespace"] = json!(namespace);
    }
    if let Some(section) = &gateway.section_name {
        parent["sectionName"] = json!(section);
    }
    json!({
        "spec": {
            "parentRefs": [parent],
            "hostnames": [host],
            "rules": [{ "backendRefs": [{ "name": service, "port": EXTERNAL_PORT }] }],
        },
    })
}
