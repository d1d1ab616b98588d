//! Whether a Gateway has taken the TLSRoutes: it writes that into their status.

use serde_json::Value;

use super::gather::Gathered;
use super::kinds::Kind;
use super::names::Names;

/// Whether clients come in by every name.
pub fn are_accepted(gathered: &Gathered, names: &Names) -> bool {
    route_names(gathered, names).iter().all(|name| is_accepted(gathered, name))
}

/// What is missing, for a person.
pub fn waits_for(gathered: &Gathered, names: &Names) -> String {
    let missing = route_names(gathered, names).into_iter().find(|name| !is_accepted(gathered, name));
    let name = missing.unwrap_or_else(|| names.external_service());
    let words = conditions(gathered, &name).into_iter().find(|condition| condition["status"] == "False");
    let words = words.and_then(|condition| condition["message"].as_str()).filter(|words| !words.is_empty());
    let gateway = gathered.cluster.spec.listeners.external.gateway.as_ref().map_or("", |gateway| &gateway.name);
    match words {
        Some(words) => format!("the Gateway {gateway} does not take the TLSRoute {name}: {words}"),
        None => format!("no Gateway {gateway} has taken the TLSRoute {name} yet"),
    }
}

fn route_names(gathered: &Gathered, names: &Names) -> Vec<String> {
    let brokers = gathered.nodes.iter().map(|node| names.external_broker_service(node.id));
    [names.external_service()].into_iter().chain(brokers).collect()
}

fn is_accepted(gathered: &Gathered, name: &str) -> bool {
    let holds = |kind: &str| {
        let found = conditions(gathered, name);
        found.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    holds("Accepted") && !conditions(gathered, name).iter().any(|condition| condition["status"] == "False")
}

/// There is one parent: we name one.
fn conditions<'a>(gathered: &'a Gathered, name: &str) -> Vec<&'a Value> {
    let route = gathered.child(Kind::TlsRoute, name);
    let conditions = route.and_then(|route| route.data.pointer("/status/parents/0/conditions")?.as_array());
    conditions.into_iter().flatten().collect()
}
