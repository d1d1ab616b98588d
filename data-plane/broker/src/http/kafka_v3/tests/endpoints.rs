//! The table of endpoints holds: each row is served, and answers with a status and a body that the row names.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use millstream_api::kafka_rest::endpoint::{Endpoint, Method as TableMethod, Operation};
use millstream_api::kafka_rest::endpoints::ENDPOINTS;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::groups::{commit, join_group};
use super::{Fixture, KEY, start};

/// Schemas by name.
type Schemas = BTreeMap<String, Value>;

/// What an operation takes, from the cluster that [`prepare`] leaves.
fn body(operation: Operation) -> Option<Value> {
    let acl = json!({"resource_type": "TOPIC", "resource_name": "t", "pattern_type": "LITERAL", "principal": "User:sa-a",
        "host": "*", "operation": "READ", "permission": "ALLOW"});
    match operation {
        Operation::CreateAcl => Some(acl),
        Operation::CreateAcls => Some(json!({"data": [acl]})),
        Operation::CreateTopic => Some(json!({"topic_name": "new"})),
        Operation::UpdateTopic => Some(json!({"partitions_count": 3})),
        Operation::AlterTopicConfigs => Some(json!({"data": [{"name": "retention.ms", "value": 3_600_000}]})),
        Operation::SetTopicConfig => Some(json!({"value": "3600000"})),
        Operation::ProduceRecords => Some(json!({"partition_id": 0, "value": {"type": "STRING", "data": "x"}})),
        _ => None,
    }
}

/// A topic, a group with a member that reads it, and a committed offset. Returns the member.
async fn prepare(fixture: &Fixture) -> String {
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t", "partitions_count": 2 })).await.0, 201);
    commit(fixture, "g", 1, 0, Uuid::nil());
    join_group(fixture, "g").await
}

async fn call(fixture: &Fixture, endpoint: &Endpoint, member: &str) -> (u16, String) {
    let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).unwrap();
    let mut path = endpoint.path.to_owned();
    for (parameter, value) in [
        ("{cluster_id}", "lkc-a"),
        ("{topic_name}", "t"),
        ("{name}", "retention.ms"),
        ("{partition_id}", "1"),
        ("{broker_id}", "0"),
        ("{consumer_group_id}", "g"),
        ("{consumer_id}", member),
    ] {
        path = path.replace(parameter, value);
    }
    assert!(!path.contains('{'), "what is the value of the parameter in {path}?");
    let url = format!("{}{path}", fixture.base);
    let query: Vec<(&str, &str)> =
        endpoint.query.iter().filter(|parameter| parameter.required).map(|parameter| (parameter.name, "ANY")).collect();
    let mut request = fixture.client.request(method, url).basic_auth(KEY, Some("secret")).query(&query);
    if let Some(body) = body(endpoint.operation) {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// What of a value is not as its schema says; the reading is strict, so that no field is missing in the schema either.
fn mismatch(value: &Value, schema: &Value, schemas: &Schemas) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return mismatch(value, &schemas[name], schemas);
    }
    if let Some(alternatives) = schema["oneOf"].as_array() {
        let found: Vec<_> = alternatives.iter().map(|alternative| mismatch(value, alternative, schemas)).collect();
        return if found.iter().any(Option::is_none) { None } else { found.into_iter().next().flatten() };
    }
    if let Some(properties) = schema["properties"].as_object() {
        let Some(fields) = value.as_object() else { return Some(format!("{value} is no object")) };
        let required = schema["required"].as_array().into_iter().flatten();
        let mut missing = required.filter_map(Value::as_str).filter(|name| !fields.contains_key(*name));
        if let Some(name) = missing.next() {
            return Some(format!("{name} is missing in {value}"));
        }
        return fields.iter().find_map(|(name, field)| match properties.get(name) {
            Some(schema) => mismatch(field, schema, schemas),
            None => Some(format!("{name} is not in the schema")),
        });
    }
    if schema["type"] == "array" {
        let Some(items) = value.as_array() else { return Some(format!("{value} is no list")) };
        return items.iter().find_map(|item| mismatch(item, &schema["items"], schemas));
    }
    let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let is_of = |name: &Value| match name.as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    };
    if types.iter().any(is_of) { None } else { Some(format!("{value} is not of type {}", schema["type"])) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_is_served_and_answers_as_it_says() {
    let fixture = start().await;
    let member = prepare(&fixture).await;
    // What deletes comes last, so that the others find something.
    let (mut last, first): (Vec<&Endpoint>, Vec<&Endpoint>) =
        ENDPOINTS.iter().partition(|endpoint| endpoint.method == TableMethod::Delete);
    last.sort_by_key(|endpoint| Reverse(endpoint.path.len()));
    for endpoint in first.into_iter().chain(last) {
        let id = endpoint.operation_id;
        assert_eq!(endpoint.body.is_some(), body(endpoint.operation).is_some(), "{id} needs a body in this test");
        let (status, text) = call(&fixture, endpoint, &member).await;
        let answer = endpoint.answers.iter().find(|answer| answer.status == status);
        let answer = answer.unwrap_or_else(|| panic!("{id} answered {status}: {text}"));
        let Some(shape) = answer.body else {
            assert_eq!(text, "", "{id} says nothing of a body");
            continue;
        };
        let value: Value = serde_json::from_str(&text).unwrap();
        let schemas: Schemas =
            shape.schemas().into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap())).collect();
        let wrong = mismatch(&value, &schemas[shape.name().as_ref()], &schemas);
        assert_eq!(wrong, None, "{id}");
    }
    fixture.broker.shutdown().await;
}
