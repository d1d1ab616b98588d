//! What the API server refuses, evaluated by the same rules without an API server. The table of what is refused is in
//! `rules.json`: the suite `operator` asks a real API server the same.

use kube::CustomResourceExt as _;
use kube::core::cel::Validator;
use serde::Deserialize;
use serde_json::{Value, json};

use super::KafkaCluster;
use super::manifest::rule_messages;

#[derive(Deserialize)]
struct Table {
    /// A resource that is accepted.
    sample: Value,
    cases: Vec<Case>,
}

/// The sample with one field changed.
#[derive(Deserialize)]
struct Case {
    rule: String,
    /// `created`, or `updated` from the sample.
    when: String,
    /// JSON pointer; `-` is the end of a list.
    field: String,
    /// Null takes the field away.
    value: Value,
    /// Part of what the API server says; empty if it accepts.
    refused: String,
}

fn table() -> Table {
    serde_json::from_str(include_str!("rules.json")).unwrap()
}

fn changed(sample: &Value, pointer: &str, value: &Value) -> Value {
    let mut object = sample.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(parent), Value::Null) => drop(parent.remove(name)),
        (Value::Array(parent), value) => parent.push(value.clone()),
        (parent, value) => parent[name] = value.clone(),
    }
    object
}

fn refusals(object: &Value, old: Option<&Value>) -> String {
    let definition = serde_json::to_value(KafkaCluster::crd()).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    match Validator::new().validate(schema, object, old) {
        Ok(()) => String::new(),
        Err(errors) => errors.as_slice().iter().map(|error| format!("{}\n", error.message)).collect(),
    }
}

#[test]
fn the_sample_is_accepted_and_may_stay_as_it_is() {
    let sample = table().sample;
    assert_eq!(refusals(&sample, None), "");
    assert_eq!(refusals(&sample, Some(&sample)), "");
}

#[test]
fn every_case_of_the_table_is_refused_or_accepted_as_it_says() {
    let Table { sample, cases } = table();
    // The keys of lists are no rules: only an API server looks at them.
    for case in cases.iter().filter(|case| case.refused != "Duplicate value") {
        let old = (case.when == "updated").then_some(&sample);
        let refused = refusals(&changed(&sample, &case.field, &case.value), old);
        let as_expected = if case.refused.is_empty() { refused.is_empty() } else { refused.contains(&case.refused) };
        assert!(as_expected, "{}: {} {}: {refused:?}", case.rule, case.field, case.value);
    }
}

#[test]
fn every_rule_of_the_schema_has_a_case() {
    let cases = table().cases;
    for message in rule_messages() {
        let has_case = cases.iter().any(|case| !case.refused.is_empty() && message.contains(&case.refused));
        assert!(has_case, "no case of rules.json is refused with: {message}");
    }
}

#[test]
fn a_resource_parses_as_it_was_written() {
    let sample = table().sample;
    let cluster: KafkaCluster = serde_json::from_value(sample.clone()).unwrap();
    let mut written = serde_json::to_value(&cluster).unwrap();
    assert_eq!(written["spec"]["nodePools"], sample["spec"]["nodePools"]);
    assert_eq!(written["spec"]["objectStore"].take(), sample["spec"]["objectStore"]);
}

#[test]
fn a_field_that_nobody_reads_is_refused() {
    let typo = changed(&table().sample, "/spec/deletionpolicy", &json!("Delete"));
    assert!(serde_json::from_value::<KafkaCluster>(typo).is_err());
}
