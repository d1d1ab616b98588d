use super::*;
use crate::agent::settings::AgentSettings;

pub const SETTINGS: &str = r#"
agentId = "eu-1"
[controlPlane]
url = "https://fleet.example.com:8081"
tokenFile = "/run/token"
[[regions]]
cloud = "AWS"
region = "eu-central-1"
[brokers]
version = "0.1.0"
image = { repository = "registry.example.com/millstream" }
controlPlaneCa = { name = "fleet-ca", key = "ca.crt" }
storageClass = "fast"
shared = { storageGib = 50, cpuMillis = 1000, memoryMib = 2048 }
perCku = { storageGib = 20, cpuMillis = 500, memoryMib = 1024 }
external = { type = "loadBalancer", domain = "kafka.example.com" }
[brokers.sharedCapacity]
partitions = 4000
[brokers.objectStore]
bucket = "millstream"
region = "eu-central-1"
credentials = { existingSecret = { name = "s3" } }
"#;

fn settings() -> AgentSettings {
    AgentSettings::parse(SETTINGS).expect("they are good")
}

fn dedicated(ckus: u32) -> DesiredPhysicalCluster {
    DesiredPhysicalCluster {
        physical_cluster_id: "pkc-a".into(),
        generation: 7,
        brokers: 1,
        broker_token: "the-token".into(),
        dedicated_to: "lkc-a".into(),
        ckus,
        ..DesiredPhysicalCluster::default()
    }
}

fn existing(size: &str) -> KafkaCluster {
    let mut resource = resource(&settings(), &dedicated(1), None);
    resource["spec"]["nodePools"][0]["storage"]["size"] = json!(size);
    serde_json::from_value(resource).expect("a resource")
}

/// The size of the volume for so many CKUs of one that has `had`.
fn size_of(ckus: u32, had: &str) -> String {
    let resource = resource(&settings(), &dedicated(ckus), Some(&existing(had)));
    resource["spec"]["nodePools"][0]["storage"]["size"].as_str().expect("a size").to_owned()
}

#[test]
fn a_dedicated_cluster_is_as_large_as_its_ckus() {
    let resource = resource(&settings(), &dedicated(3), None);
    let pool = &resource["spec"]["nodePools"][0];
    assert_eq!(pool["storage"], json!({ "class": "fast", "size": "60Gi" }));
    assert_eq!(pool["resources"]["requests"], json!({ "cpu": "1500m", "memory": "3072Mi" }));
    assert_eq!(pool["resources"]["limits"], json!({ "memory": "3072Mi" }));
    assert_eq!(resource["metadata"]["annotations"][GENERATION], "7");
    assert_eq!(resource["metadata"]["annotations"]["millstream.dev/dedicated-to"], "lkc-a");
    assert_eq!(resource["spec"]["objectStore"]["prefix"], "pkc-a");
    assert_eq!(resource["spec"]["controlPlane"]["endpoint"], "https://fleet.example.com:8081");
}

#[test]
fn a_shared_cluster_has_the_size_of_shared_ones() {
    let desired = DesiredPhysicalCluster { dedicated_to: String::new(), ckus: 0, ..dedicated(0) };
    let resource = resource(&settings(), &desired, None);
    assert_eq!(resource["spec"]["nodePools"][0]["storage"]["size"], "50Gi");
    assert!(resource["metadata"]["annotations"].get("millstream.dev/dedicated-to").is_none());
}

#[test]
fn a_volume_grows_and_never_shrinks() {
    assert_eq!(size_of(3, "20Gi"), "60Gi");
    assert_eq!(size_of(1, "60Gi"), "60Gi");
    assert_eq!(size_of(1, "21474836481Ki"), "21474836481Ki");
    assert_eq!(size_of(2, "100G"), "100G");
    assert_eq!(size_of(2, "40G"), "40Gi");
    assert_eq!(size_of(1, "odd"), "odd");
}

#[test]
fn a_volume_keeps_its_class() {
    let mut moved = settings();
    moved.brokers.storage_class = Some("other".into());
    let resource = resource(&moved, &dedicated(1), Some(&existing("20Gi")));
    assert_eq!(resource["spec"]["nodePools"][0]["storage"]["class"], "fast");
}

#[test]
fn the_token_is_in_the_secret_and_nowhere_else() {
    let resource = resource(&settings(), &dedicated(1), None);
    assert!(!resource.to_string().contains("the-token"));
    let secret = token_secret(&dedicated(1));
    assert_eq!(secret.string_data.expect("data")["token"], "the-token");
    let named = &resource["spec"]["controlPlane"]["tokenSecretRef"];
    assert_eq!(named, &json!({ "name": secret.metadata.name, "key": "token" }));
}

#[test]
fn what_people_say_about_a_resource_is_theirs() {
    let resource = resource(&settings(), &dedicated(1), None);
    assert!(resource["spec"].get("maintenance").is_none());
    assert!(resource["spec"].get("deletionPolicy").is_none());
}

#[test]
fn settings_that_cannot_work_are_named() {
    for (what, instead, named) in [
        ("agentId = \"eu-1\"", "agentId = \"EU 1\"", "agentId"),
        ("https://fleet", "http://fleet", "controlPlane.url"),
        ("https://fleet", "fleet", "controlPlane.url"),
        ("storageGib = 50", "storageGib = 0", "brokers.shared"),
        ("storageClass =", "storageKlass =", "storageKlass"),
        ("tokenFile =", "clientKeyFile = \"/k\"\ntokenFile =", "clientCertificateFile"),
    ] {
        let text = SETTINGS.replace(what, instead);
        let error = AgentSettings::parse(&text).map(|_| ()).expect_err(instead);
        assert!(error.to_string().contains(named), "{instead}: {error}");
    }
}
