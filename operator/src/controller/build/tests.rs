//! The objects of a cluster: some in full, and what holds for those of any spec.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::core::DynamicObject;
use millstream_api::broker_file::BrokerFile;
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use super::*;
use crate::controller::names::FIELD_MANAGER;
use crate::controller::validate::allocate_nodes;

const PRIVATE_KEY: &str = "the private key of a test";

fn cluster(spec: Value) -> KafkaCluster {
    let mut object = json!({
        "apiVersion": "millstream.dev/v1alpha1",
        "kind": "KafkaCluster",
        "metadata": { "name": "pkc-abc12", "namespace": "millstream", "uid": "3a1f" },
        "spec": {
            "physicalClusterId": "pkc-abc12",
            "version": "0.1.0",
            "image": { "repository": "registry.example.com/millstream" },
            "nodePools": [{
                "name": "main", "roles": ["broker", "controller"], "replicas": 1, "storage": { "size": "10Gi" }
            }],
        },
    });
    merge(&mut object["spec"], spec);
    serde_json::from_value(object).unwrap()
}

/// Of a user's own certificate.
fn given() -> BTreeMap<String, String> {
    let entries = [("tls.crt", "the user's certificate"), ("tls.key", PRIVATE_KEY), ("ca.crt", "more")];
    entries.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
}

fn build_all(cluster: &KafkaCluster, node_ports: &BTreeMap<String, u16>) -> Objects {
    let domain = cluster.spec.listeners.external.domain.clone().unwrap_or_default();
    let name = cluster.metadata.name.as_deref().unwrap();
    let names = Names::new("millstream", name, &cluster.spec.physical_cluster_id, &domain);
    let nodes = allocate_nodes(&cluster.spec, &[], &names);
    let authority = [("ca.crt", "the authority"), ("ca.key", PRIVATE_KEY)];
    let certificates = CertificateFiles {
        authority: authority.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
        trusted: "the authority".to_owned(),
        certificate: "the certificate".to_owned(),
        key: PRIVATE_KEY.to_owned(),
    };
    let given = given();
    let has_external = cluster.spec.listeners.external.kind != ExternalKind::None;
    let is_given = has_external && cluster.spec.tls.external_certificate.is_some();
    build(&Inputs {
        cluster,
        names: &names,
        nodes: &nodes,
        node_ports,
        certificates: &certificates,
        external_certificate: is_given.then_some(&given),
        served: &everything_served(),
    })
}

fn everything_served() -> Served {
    Kind::ALL.iter().fold(Served::built_in(), |served, kind| served.with(*kind, kind.api_versions()[0]))
}

fn in_full(spec: Value) -> String {
    let objects = build_all(&cluster(spec), &BTreeMap::new());
    let objects = objects.in_order().into_iter().map(|(_, object)| serde_saphyr::to_string(object).unwrap());
    objects.collect::<Vec<_>>().join("---\n")
}

fn full_spec() -> Value {
    json!({
        "nodePools": [{
            "name": "main", "roles": ["broker", "controller"], "replicas": 1,
            "storage": { "class": "fast", "size": "100Gi" },
            "resources": { "requests": { "cpu": "500m", "memory": "1Gi" }, "limits": { "memory": "2Gi" } },
            "zones": ["a", "b"], "nodeSelector": { "disk": "nvme" },
            "tolerations": [{ "key": "kafka", "operator": "Exists", "effect": "NoSchedule" }]
        }],
        "image": { "repository": "registry.example.com/millstream", "pullSecrets": ["registry"],
            "digest": format!("sha256:{}", "0".repeat(64)) },
        "listeners": { "external": {
            "type": "tlsRoute", "domain": "kafka.example.com", "port": 443, "gateway": { "name": "edge", "namespace": "net" }
        }},
        "tls": { "externalCertificate": { "secretName": "wildcard" } },
        "objectStore": {
            "bucket": "millstream", "region": "eu-west-1", "endpoint": "https://s3.example.com", "pathStyle": true,
            "credentials": { "existingSecret": { "name": "s3" } }
        },
        "controlPlane": {
            "endpoint": "https://fleet.example.com:8081",
            "tokenSecretRef": { "name": "tokens", "key": "pkc-abc12" },
            "caSecretRef": { "name": "fleet-ca", "key": "ca.crt" }
        },
        "config": { "autoCreateTopics": true, "defaultPartitions": 3 },
        "monitoring": { "podMonitor": true }
    })
}

#[test]
fn the_smallest_cluster_in_full() {
    insta::assert_snapshot!(in_full(json!({})));
}

#[test]
fn a_cluster_with_everything_in_full() {
    insta::assert_snapshot!(in_full(full_spec()));
}

#[test]
fn the_job_that_empties_the_bucket_in_full() {
    let cluster = cluster(full_spec());
    let names = Names::new("millstream", "pkc-abc12", "pkc-abc12", "kafka.example.com");
    let nodes = allocate_nodes(&cluster.spec, &[], &names);
    let inputs = Inputs {
        cluster: &cluster,
        names: &names,
        nodes: &nodes,
        node_ports: &BTreeMap::new(),
        certificates: &CertificateFiles::default(),
        external_certificate: None,
        served: &Served::built_in(),
    };
    let objects = bucket_purge::build(&inputs, &cluster.spec.node_pools[0], &nodes[0]);
    let (kind, job) = objects.last().unwrap();
    check_type(*kind, job);
    check_names(*kind, job);
    check_secrets(*kind, job);
    insta::assert_snapshot!(serde_saphyr::to_string(job).unwrap());
}

#[test]
fn pods_wait_until_kubernetes_has_chosen_node_ports() {
    let spec = json!({ "listeners": { "external": { "type": "nodePort", "domain": "kafka.example.com" } } });
    let without = build_all(&cluster(spec.clone()), &BTreeMap::new());
    assert!(without.stateful_sets.is_empty());
    let chosen = [("pkc-abc12-b0-external".to_owned(), 30_123)].into();
    let with = build_all(&cluster(spec), &chosen);
    assert!(serde_json::to_string(&with.config_maps).unwrap().contains("advertised_port = 30123"));
}

#[test]
fn a_pod_runs_something_else_after_each_change_that_it_has_to_be_restarted_for() {
    let revision = |spec: Value| build_all(&cluster(spec), &BTreeMap::new()).revisions["main"].clone();
    let before = revision(json!({}));
    assert_eq!(before, revision(json!({})));
    let larger = json!([{
        "name": "main", "roles": ["broker", "controller"], "replicas": 1, "storage": { "size": "20Gi" }
    }]);
    assert_eq!(before, revision(json!({ "nodePools": larger })), "a volume grows without a restart");
    for change in [
        json!({ "version": "0.1.1" }),
        json!({ "config": { "defaultPartitions": 7 } }),
        json!({ "maintenance": { "restartedAt": "2026-01-01T00:00:00Z" } }),
        json!({ "listeners": { "external": { "type": "loadBalancer", "domain": "example.com" } } }),
    ] {
        assert_ne!(before, revision(change.clone()), "{change}");
    }
}

/// Any spec that the schema accepts and the controller does not reject.
fn specs() -> impl Strategy<Value = Value> {
    let external = prop_oneof![
        Just(json!({ "type": "none" })),
        Just(json!({ "type": "loadBalancer", "domain": "kafka.example.com", "port": 9094 })),
        Just(json!({ "type": "nodePort", "domain": "k.example.com" })),
        Just(json!({ "type": "tlsRoute", "domain": "kafka.example.com", "gateway": { "name": "edge" } })),
    ];
    let credentials = prop_oneof![
        Just(json!({ "existingSecret": { "name": "s3" } })),
        Just(json!({ "serviceAccount": { "name": "irsa" } })),
    ];
    let store = proptest::option::of(
        credentials
            .prop_map(|credentials| json!({ "bucket": "bucket", "region": "eu-west-1", "credentials": credentials })),
    );
    let control_plane = proptest::option::of(proptest::bool::ANY.prop_map(|with_ca| {
        let ca = json!({ "caSecretRef": { "name": "ca", "key": "ca.crt" } });
        let mut control_plane =
            json!({ "endpoint": "https://fleet:8081", "tokenSecretRef": { "name": "tokens", "key": "token" } });
        if with_ca {
            merge(&mut control_plane, ca);
        }
        control_plane
    }));
    let pool = ("[a-z]([a-z0-9-]{0,9}[a-z0-9])?", "[1-9][0-9]{0,3}(Gi|Ti|G)", proptest::bool::ANY);
    let given_certificate = proptest::bool::ANY;
    (external, store, control_plane, pool, given_certificate, proptest::option::of(1..1_000)).prop_map(
        |(external, store, control_plane, (name, size, zoned), given_certificate, partitions)| {
            let mut spec = json!({
                "listeners": { "external": external },
                "nodePools": [{
                    "name": name, "roles": ["broker", "controller"], "replicas": 1, "storage": { "size": size },
                }],
            });
            let optional = [
                ("objectStore", store),
                ("controlPlane", control_plane),
                ("config", partitions.map(|partitions| json!({ "defaultPartitions": partitions }))),
                ("tls", given_certificate.then(|| json!({ "externalCertificate": { "secretName": "given" } }))),
            ];
            for (field, value) in optional.into_iter().filter_map(|(field, value)| Some((field, value?))) {
                spec[field] = value;
            }
            if zoned {
                spec["nodePools"][0]["zones"] = json!(["a"]);
            }
            spec
        },
    )
}

proptest! {
    #[test]
    fn objects_of_any_spec_are_what_the_api_server_knows(spec in specs(), name in "[a-z][a-z0-9-]{0,38}[a-z0-9]") {
        let mut cluster = cluster(spec);
        cluster.metadata.name = Some(name.clone());
        let ports = [(format!("{name}-b0-external"), 30_123)].into();
        let objects = build_all(&cluster, &ports);
        prop_assert_eq!(objects.stateful_sets.len(), 1);
        for (kind, object) in objects.in_order() {
            check_type(kind, object);
            check_names(kind, object);
            check_secrets(kind, object);
        }
        check_configuration(&objects);
    }
}

/// Nothing is lost on the way through the API's own type: no field is unknown to it.
fn check_type(kind: Kind, object: &DynamicObject) {
    fn check<K: DeserializeOwned + Serialize>(object: &DynamicObject) {
        let written = serde_json::to_value(object).unwrap();
        let typed: K = serde_json::from_value(written.clone()).unwrap();
        let mut read = serde_json::to_value(typed).unwrap();
        for pointer in ["/spec/template/spec/containers/0/resources", "/metadata/creationTimestamp"] {
            if written.pointer(pointer).is_none()
                && let Some(added) = read.pointer_mut(pointer)
            {
                added.take();
            }
        }
        assert_eq!(read, written);
    }
    match kind {
        Kind::ServiceAccount => check::<ServiceAccount>(object),
        Kind::Secret => check::<Secret>(object),
        Kind::ConfigMap => check::<ConfigMap>(object),
        Kind::Service => check::<Service>(object),
        Kind::NetworkPolicy => check::<NetworkPolicy>(object),
        Kind::PodDisruptionBudget => check::<PodDisruptionBudget>(object),
        Kind::StatefulSet => check::<StatefulSet>(object),
        Kind::Job => check::<Job>(object),
        Kind::TlsRoute | Kind::PodMonitor => {}
    }
}

fn check_names(kind: Kind, object: &DynamicObject) {
    let name = object.metadata.name.as_deref().unwrap();
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    assert!(starts_well && name.len() <= 63, "{name}");
    // The StatefulSet adds a hyphen and a digest of ten characters, and makes a label of it.
    assert!(kind != Kind::StatefulSet || name.len() <= 52, "{name}");
    assert_eq!(object.metadata.labels.as_ref().unwrap()["app.kubernetes.io/managed-by"], FIELD_MANAGER);
    assert_eq!(object.metadata.owner_references.as_ref().unwrap().len(), 1);
}

fn check_secrets(kind: Kind, object: &DynamicObject) {
    let text = serde_json::to_string(object).unwrap();
    assert!(kind == Kind::Secret || !text.contains(PRIVATE_KEY), "{text}");
    let environment = object.data.pointer("/spec/template/spec/containers/0/env");
    let variables = environment.and_then(Value::as_array).into_iter().flatten();
    variables.for_each(|variable| assert!(variable.pointer("/valueFrom/secretKeyRef").is_none(), "{variable}"));
    assert!(!text.contains("envFrom"));
}

/// The broker's own check accepts its configuration, and every file that it names is mounted.
fn check_configuration(objects: &Objects) {
    let mounts = objects.stateful_sets[0].data.pointer("/spec/template/spec/containers/0/volumeMounts").unwrap();
    let folders: Vec<&str> =
        mounts.as_array().unwrap().iter().filter_map(|mount| mount["mountPath"].as_str()).collect();
    let config = &objects.config_maps[1].data["data"];
    for (_, text) in config.as_object().unwrap() {
        let file: BrokerFile = toml::from_str(text.as_str().unwrap()).unwrap();
        file.check().unwrap();
        let quoted = text.as_str().unwrap().split('"').filter(|part| part.starts_with("/secrets/"));
        for path in quoted {
            assert!(folders.iter().any(|folder| path.starts_with(folder)), "{path} is not mounted");
        }
    }
}
