//! Whether the cases are complete: each place of a request that takes an id has a case with somebody else's id in it.
//!
//! The places come from the OpenAPI document: parameters in the path, parameters in the query, and the fields of the
//! body that name an object. A new one without a case fails the test.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Case, Ids, cases};
use crate::fixture::document::is_forwarded;

/// Parameters of queries that name no object.
const PLAIN_PARAMETERS: &[&str] = &[
    "page_size",
    "page_token",
    "display_name",
    "role_name",
    "operation_id",
    "status",
    "from",
    "until",
    "scope",
    "id",
    "wait",
];

/// Where in a request an id is expected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Path(String),
    Query(String),
    /// A JSON Pointer.
    Body(String),
}

fn ids_of(name: &str) -> Ids {
    Ids {
        organization: format!("{name}-organization"),
        environment: format!("{name}-environment"),
        cluster: format!("{name}-cluster"),
        account: format!("{name}-account"),
        user: format!("{name}-user"),
        key: format!("{name}-key"),
        binding: format!("{name}-binding"),
        session: format!("{name}-session"),
        event: format!("{name}-event"),
        client_quota: format!("{name}-client-quota"),
    }
}

/// The places of an operation.
fn places(document: &Value, path: &str, operation: &Value) -> BTreeSet<Place> {
    let is_forwarded = is_forwarded(path);
    let mut places = BTreeSet::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().expect("a name").to_owned();
        match parameter["in"].as_str() {
            // Behind the id of the cluster is the wall of its brokers.
            Some("path") if is_forwarded && name != "cluster_id" => {}
            Some("path") => drop(places.insert(Place::Path(name))),
            Some("query") if is_forwarded || PLAIN_PARAMETERS.contains(&name.as_str()) => {}
            Some("query") => drop(places.insert(Place::Query(name))),
            _ => {}
        }
    }
    if is_forwarded {
        return places;
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    collect_ids(document, body, "", &mut places);
    places
}

/// The fields of a schema that name an object.
fn collect_ids(document: &Value, schema: &Value, pointer: &str, places: &mut BTreeSet<Place>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).expect("the reference leads somewhere");
        return collect_ids(document, target, pointer, places);
    }
    for alternatives in ["oneOf", "anyOf", "allOf"] {
        for alternative in schema[alternatives].as_array().into_iter().flatten() {
            collect_ids(document, alternative, pointer, places);
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        collect_ids(document, property, &format!("{pointer}/{name}"), places);
    }
    if schema["items"].is_object() {
        collect_ids(document, &schema["items"], &format!("{pointer}/0"), places);
    }
    let name = pointer.rsplit('/').next().unwrap_or_default();
    if schema["properties"].is_null() && is_id(name) {
        places.insert(Place::Body(pointer.to_owned()));
    }
}

fn is_id(field: &str) -> bool {
    field == "id" || field.ends_with("_id") || ["principal", "crn_pattern"].contains(&field)
}

/// Whether the case has an id of `theirs` in the place.
fn covers(case: &Case, template: &str, place: &Place) -> bool {
    let is_theirs = |text: &str| text.contains("their-");
    let (path, query) = case.path.split_once('?').unwrap_or((&case.path, ""));
    match place {
        Place::Path(name) => {
            let segments = template.split('/').zip(path.split('/'));
            segments.into_iter().any(|(pattern, segment)| pattern == format!("{{{name}}}") && is_theirs(segment))
        }
        Place::Query(name) => {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.any(|(key, value)| key == name && is_theirs(value))
        }
        Place::Body(pointer) => {
            let value = case.body.as_ref().and_then(|body| body.pointer(pointer)).and_then(Value::as_str);
            value.is_some_and(is_theirs)
        }
    }
}

#[test]
fn every_place_for_an_id_has_a_case_with_somebody_elses() {
    let document: Value = serde_json::from_str(&millstream_control_plane::openapi_document()).expect("JSON");
    let cases = cases(&ids_of("own"), &ids_of("their"));
    let mut missing = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = format!("{method} {path}");
            let row = cases.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no row"));
            let places = places(&document, path, operation);
            let uncovered = places.into_iter().filter(|place| !row.iter().any(|case| covers(case, path, place)));
            missing.extend(uncovered.map(|place| format!("{name}: {place:?}")));
        }
    }
    assert!(missing.is_empty(), "no case has somebody else's id in\n{}", missing.join("\n"));
}
