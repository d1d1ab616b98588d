//! What the API server refuses, evaluated by the same rules without an API server.

use kube::CustomResourceExt as _;
use kube::core::cel::Validator;
use serde_json::{Value, json};

use super::KafkaCluster;

fn sample() -> Value {
    json!({
        "apiVersion": "millstream.dev/v1alpha1",
        "kind": "KafkaCluster",
        "metadata": {"name": "pkc-abc12", "namespace": "millstream"},
        "spec": {
            "physicalClusterId": "pkc-abc12",
            "version": "0.1.0",
            "image": {"repository": "registry.example.com/millstream", "pullPolicy": "IfNotPresent"},
            "nodePools": [{
                "name": "brokers", "roles": ["broker", "controller"], "replicas": 1,
                "storage": {"class": "fast", "size": "10Gi"}
            }],
            "listeners": {"external": {"type": "loadBalancer", "domain": "kafka.example.com", "port": 9092}},
            "objectStore": {
                "bucket": "millstream", "prefix": "pkc-abc12", "region": "eu-west-1", "pathStyle": false,
                "credentials": {"existingSecret": {
                    "name": "s3", "accessKeyIdKey": "access-key-id", "secretAccessKeyKey": "secret-access-key"
                }}
            }
        }
    })
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut object = sample();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    match value {
        Value::Null => drop(parent.as_object_mut().unwrap().remove(name)),
        value if parent.is_array() => parent[name.parse::<usize>().unwrap()] = value,
        value => parent[name] = value,
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

fn check_created(pointer: &str, value: Value, expected: &str) {
    let refused = refusals(&changed(pointer, value), None);
    assert_refused(pointer, &refused, expected);
}

fn check_updated(pointer: &str, value: Value, expected: &str) {
    let refused = refusals(&changed(pointer, value), Some(&sample()));
    assert_refused(pointer, &refused, expected);
}

fn assert_refused(pointer: &str, refused: &str, expected: &str) {
    let as_expected = if expected.is_empty() { refused.is_empty() } else { refused.contains(expected) };
    assert!(as_expected, "{pointer}: expected {expected:?}, got {refused:?}");
}

#[test]
fn the_sample_is_accepted_and_may_stay_as_it_is() {
    assert_eq!(refusals(&sample(), None), "");
    assert_eq!(refusals(&sample(), Some(&sample())), "");
}

#[test]
fn a_resource_parses_as_it_was_written() {
    let cluster: KafkaCluster = serde_json::from_value(sample()).unwrap();
    let mut written = serde_json::to_value(&cluster).unwrap();
    assert_eq!(written["spec"]["nodePools"], sample()["spec"]["nodePools"]);
    assert_eq!(written["spec"]["objectStore"].take(), sample()["spec"]["objectStore"]);
}

#[test]
fn a_field_that_nobody_reads_is_refused() {
    let typo = changed("/spec/deletionpolicy", json!("Delete"));
    assert!(serde_json::from_value::<KafkaCluster>(typo).is_err());
}

#[test]
fn a_volume_grows_and_never_shrinks() {
    check_updated("/spec/nodePools/0/storage/size", json!("20Gi"), "");
    check_updated("/spec/nodePools/0/storage/size", json!("1Ti"), "");
    check_updated("/spec/nodePools/0/storage/size", json!("9Gi"), "storage.size cannot shrink");
    check_updated("/spec/nodePools/0/storage/size", json!("10G"), "storage.size cannot shrink");
}

#[test]
fn a_volume_keeps_its_class() {
    check_updated("/spec/nodePools/0/storage/class", json!("slow"), "storage.class cannot change");
    check_updated("/spec/nodePools/0/storage/class", Value::Null, "storage.class cannot change");
}

#[test]
fn a_pool_keeps_its_name_and_roles() {
    check_updated("/spec/nodePools/0/name", json!("others"), "cannot be removed or renamed");
    check_updated("/spec/nodePools/0/roles", json!(["controller", "broker"]), "roles of a node pool cannot change");
}

#[test]
fn every_role_is_held_by_a_pool_and_named_once() {
    check_created("/spec/nodePools/0/roles", json!(["broker"]), "needs the role controller");
    check_created("/spec/nodePools/0/roles", json!(["controller"]), "needs the role broker");
    check_created("/spec/nodePools/0/roles", json!(["broker", "broker"]), "named twice");
}

#[test]
fn a_pool_may_be_added() {
    let added = json!({"name": "more", "roles": ["broker"], "replicas": 1, "storage": {"size": "10Gi"}});
    let mut object = sample();
    object["spec"]["nodePools"].as_array_mut().unwrap().push(added);
    assert_eq!(refusals(&object, Some(&sample())), "");
}

#[test]
fn a_version_goes_up_one_minor_at_a_time() {
    check_updated("/spec/version", json!("0.1.9"), "");
    check_updated("/spec/version", json!("0.2.0-dev.1"), "");
    check_updated("/spec/version", json!("1.0.0"), "");
    check_updated("/spec/version", json!("0.3.0"), "at most one minor version");
    check_updated("/spec/version", json!("1.1.0"), "at most one minor version");
    check_updated("/spec/version", json!("0.0.9"), "at most one minor version");
}

#[test]
fn the_identity_of_the_data_never_changes() {
    check_updated("/spec/physicalClusterId", json!("pkc-other"), "physicalClusterId cannot change");
    check_updated("/spec/objectStore/bucket", json!("elsewhere"), "objectStore.bucket cannot change");
    check_updated("/spec/objectStore/prefix", json!("elsewhere"), "objectStore.prefix cannot change");
    check_updated("/spec/objectStore", Value::Null, "objectStore cannot be removed");
    check_updated("/spec/objectStore/prefix", Value::Null, "objectStore.prefix cannot change");
}

#[test]
fn exactly_one_kind_of_credentials_is_given() {
    check_created("/spec/objectStore/credentials", json!({}), "exactly one of");
    check_created("/spec/objectStore/credentials/serviceAccount", json!({"name": "irsa"}), "exactly one of");
    check_created("/spec/objectStore/credentials", json!({"serviceAccount": {"name": "irsa"}}), "");
}

#[test]
fn an_external_listener_has_what_its_kind_needs() {
    check_created("/spec/listeners/external/domain", Value::Null, "domain is needed");
    check_created("/spec/listeners/external/type", json!("tlsRoute"), "gateway is needed");
    check_created("/spec/listeners/external/gateway", json!({"name": "edge"}), "gateway is needed");
    let route = json!({"type": "tlsRoute", "domain": "kafka.example.com", "port": 9092, "gateway": {"name": "edge"}});
    check_created("/spec/listeners/external", route, "");
    check_created("/spec/listeners/external", json!({"type": "none", "port": 9092}), "");
}

#[test]
fn a_token_is_shown_to_the_network_only_when_asked_for() {
    let control_plane = |endpoint: &str, insecure: bool| {
        let token = json!({"name": "tokens", "key": "pkc-abc12"});
        json!({"endpoint": endpoint, "insecure": insecure, "tokenSecretRef": token})
    };
    check_created("/spec/controlPlane", control_plane("https://fleet:8081", false), "");
    check_created("/spec/controlPlane", control_plane("http://fleet:8081", true), "");
    check_created("/spec/controlPlane", control_plane("http://fleet:8081", false), "show the token to the network");
}

#[test]
fn a_name_that_is_too_long_for_its_children_is_refused() {
    check_created("/metadata/name", json!("x".repeat(40)), "");
    check_created("/metadata/name", json!("x".repeat(41)), "more than 40 characters");
}
