//! From what the control plane wants to the resource, as a pure function of that, the settings and the resource as it is.
//!
//! Promises: the same wish always makes the same resource; a volume never shrinks; no secret is in the resource.

use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use millstream_api::fleet::DesiredPhysicalCluster;
use serde_json::{Value, json};

use super::settings::{AgentSettings, Brokers, Size};
use crate::crd::control_plane::ControlPlane;
use crate::crd::listeners::Listeners;
use crate::crd::maintenance::Maintenance;
use crate::crd::node_pool::{Amounts, NodePool, Resources, Role, Storage};
use crate::crd::object_store::ObjectStore;
use crate::crd::reference::SecretKeyRef;
use crate::crd::{DeletionPolicy, KafkaCluster, KafkaClusterSpec};

/// Label of everything that the agent makes, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "millstream-agent");
/// Annotation with the generation of the wish.
pub const GENERATION: &str = "millstream.dev/desired-generation";
/// Annotation with the only logical cluster that a dedicated one hosts.
const DEDICATED_TO: &str = "millstream.dev/dedicated-to";
/// The only node pool.
const POOL: &str = "broker";
/// Key of the token in its Secret.
const TOKEN_KEY: &str = "token";
const MIB_OF_GIB: u64 = 1024;

/// The resource, as a merge of what is given up and what is set by the agent: `maintenance` is people's.
pub fn resource(settings: &AgentSettings, desired: &DesiredPhysicalCluster, existing: Option<&KafkaCluster>) -> Value {
    let name = &desired.physical_cluster_id;
    let mut annotations = json!({ GENERATION: desired.generation.to_string() });
    if !desired.dedicated_to.is_empty() {
        annotations[DEDICATED_TO] = json!(desired.dedicated_to);
    }
    let mut spec = serde_json::to_value(spec(settings, desired, existing)).expect("a spec is JSON");
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("maintenance");
        // Said when the cluster is deleted, and not before: a resource that is deleted by mistake keeps its volumes.
        fields.remove("deletionPolicy");
    }
    json!({
        "apiVersion": "millstream.dev/v1alpha1",
        "kind": "KafkaCluster",
        "metadata": { "name": name, "labels": { MANAGED_BY.0: MANAGED_BY.1 }, "annotations": annotations },
        "spec": spec,
    })
}

/// The same with the version and the image that it has.
pub fn resource_without_upgrade(
    settings: &AgentSettings,
    desired: &DesiredPhysicalCluster,
    existing: &KafkaCluster,
) -> Value {
    let mut resource = resource(settings, desired, Some(existing));
    resource["spec"]["version"] = json!(existing.spec.version);
    resource["spec"]["image"] = json!(existing.spec.image);
    resource
}

/// Whether it runs the version and the image of the settings, or is about to.
pub fn is_upgraded(settings: &AgentSettings, cluster: &KafkaCluster) -> bool {
    cluster.spec.version == settings.brokers.version && cluster.spec.image == settings.brokers.image
}

/// The Secret with the token of the brokers.
pub fn token_secret(desired: &DesiredPhysicalCluster) -> Secret {
    let labels = [(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())];
    Secret {
        metadata: ObjectMeta {
            name: Some(token_secret_name(&desired.physical_cluster_id)),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        string_data: Some([(TOKEN_KEY.to_owned(), desired.broker_token.clone())].into()),
        ..Secret::default()
    }
}

/// What the Secret with the token of a physical cluster is called.
pub fn token_secret_name(physical_cluster_id: &str) -> String {
    format!("{physical_cluster_id}-agent-token")
}

fn spec(
    settings: &AgentSettings,
    desired: &DesiredPhysicalCluster,
    existing: Option<&KafkaCluster>,
) -> KafkaClusterSpec {
    let brokers = &settings.brokers;
    let size = size(brokers, desired);
    KafkaClusterSpec {
        physical_cluster_id: desired.physical_cluster_id.clone(),
        version: brokers.version.clone(),
        image: brokers.image.clone(),
        node_pools: vec![node_pool(brokers, desired, size, existing)],
        listeners: Listeners { external: brokers.external.clone() },
        tls: brokers.tls.clone(),
        object_store: brokers.object_store.as_ref().map(|store| ObjectStore {
            bucket: store.bucket.clone(),
            prefix: Some(desired.physical_cluster_id.clone()),
            region: store.region.clone(),
            endpoint: store.endpoint.clone(),
            path_style: store.path_style,
            credentials: store.credentials.clone(),
        }),
        control_plane: Some(ControlPlane {
            endpoint: brokers.control_plane_url.as_ref().unwrap_or(&settings.control_plane.url).clone(),
            insecure: settings.control_plane.insecure,
            token_secret_ref: SecretKeyRef {
                name: token_secret_name(&desired.physical_cluster_id),
                key: TOKEN_KEY.to_owned(),
            },
            ca_secret_ref: brokers.control_plane_ca.clone(),
        }),
        config: brokers.config.clone(),
        maintenance: Maintenance::default(),
        monitoring: brokers.monitoring.clone(),
        deletion_policy: DeletionPolicy::Retain,
    }
}

/// CKUs make a dedicated broker larger.
fn size(brokers: &Brokers, desired: &DesiredPhysicalCluster) -> Size {
    if desired.dedicated_to.is_empty() {
        return brokers.shared;
    }
    let ckus = desired.ckus.max(1);
    let Size { storage_gib, cpu_millis, memory_mib } = brokers.per_cku;
    Size {
        storage_gib: storage_gib.saturating_mul(ckus),
        cpu_millis: cpu_millis.saturating_mul(ckus),
        memory_mib: memory_mib.saturating_mul(ckus),
    }
}

fn node_pool(
    brokers: &Brokers,
    desired: &DesiredPhysicalCluster,
    size: Size,
    existing: Option<&KafkaCluster>,
) -> NodePool {
    let memory = format!("{}Mi", size.memory_mib);
    let amounts = |cpu| Amounts { cpu, memory: Some(memory.clone()) };
    let had = existing.and_then(|cluster| cluster.spec.node_pools.first()).map(|pool| &pool.storage);
    NodePool {
        name: POOL.to_owned(),
        roles: vec![Role::Broker, Role::Controller],
        replicas: i32::try_from(desired.brokers).unwrap_or(i32::MAX),
        resources: Some(Resources {
            requests: Some(amounts(Some(format!("{}m", size.cpu_millis)))),
            limits: Some(amounts(None)),
        }),
        storage: Storage {
            // A volume keeps the class that it was made with.
            class: had.map_or_else(|| brokers.storage_class.clone(), |had| had.class.clone()),
            size: storage_size(size.storage_gib, had),
        },
        zones: Vec::new(),
        node_selector: Default::default(),
        tolerations: Vec::new(),
    }
}

/// A volume that somebody made larger, or that a larger cluster left, stays as it is: the API server refuses a smaller one.
fn storage_size(wanted_gib: u32, had: Option<&Storage>) -> String {
    let wanted = u64::from(wanted_gib) * MIB_OF_GIB;
    match had {
        Some(had) if mib(&had.size).is_none_or(|had| had > wanted) => had.size.clone(),
        _ => format!("{wanted_gib}Gi"),
    }
}

/// MiB of a size, rounded up so that no size counts as smaller than it is. None if it is no size.
fn mib(size: &str) -> Option<u64> {
    let digits = size.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = size.split_at(digits);
    let bytes_of_unit: u128 = match unit {
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    let bytes = u128::from(number.parse::<u64>().ok()?) * bytes_of_unit;
    u64::try_from(bytes.div_ceil(1 << 20)).ok()
}

#[cfg(test)]
#[path = "desired_tests.rs"]
pub mod tests;
