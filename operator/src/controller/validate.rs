//! Whether a spec can be acted upon: what the schema cannot see. Nothing is made of a spec that is rejected here.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::external_certificate;
use super::gather::Gathered;
use super::kinds::Kind;
use super::names::Names;
use crate::crd::KafkaClusterSpec;
use crate::crd::conditions::Reason;
use crate::crd::listeners::ExternalKind;
use crate::crd::node_pool::Role;
use crate::crd::status::Node;

/// Members of one physical cluster at most: there is no replication between brokers.
pub const MAX_MEMBERS: i32 = 1;

/// Why a spec is not acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    pub message: String,
}

/// Checks everything.
///
/// # Errors
///
/// The first thing that cannot work, for a person.
pub fn validate(gathered: &Gathered, names: &Names, max_members: i32, now: Timestamp) -> Result<(), Rejection> {
    let spec = &gathered.cluster.spec;
    if let Some(older) = &gathered.older_namesake {
        let id = &spec.physical_cluster_id;
        let message = format!("physicalClusterId: the older KafkaCluster {older} has {id}: delete one of the two");
        return reject(Reason::PhysicalClusterIdTaken, message);
    }
    validate_members(spec, max_members)?;
    validate_secrets(gathered)?;
    external_certificate::validate(gathered, names, now)?;
    validate_service_account(gathered)?;
    validate_storage(gathered)?;
    let route_wanted = spec.listeners.external.kind == ExternalKind::TlsRoute;
    if route_wanted && !gathered.served.has(Kind::TlsRoute) {
        let message =
            "listeners.external.type is tlsRoute, and this Kubernetes has no TLSRoute: install the Gateway API";
        return reject(Reason::GatewayApiMissing, message);
    }
    Ok(())
}

fn validate_members(spec: &KafkaClusterSpec, max_members: i32) -> Result<(), Rejection> {
    let members: i32 = spec.node_pools.iter().map(|pool| pool.replicas).sum();
    let is_whole = |roles: &[Role]| roles.contains(&Role::Broker) && roles.contains(&Role::Controller);
    if members > max_members || !spec.node_pools.iter().all(|pool| is_whole(&pool.roles)) {
        let message = format!(
            "nodePools ask for {members} members: today a physical cluster has {max_members} at most, with the roles broker and controller"
        );
        return reject(Reason::SeveralBrokersUnsupported, message);
    }
    Ok(())
}

fn validate_secrets(gathered: &Gathered) -> Result<(), Rejection> {
    for (field, name, keys) in referenced_secrets(&gathered.cluster.spec) {
        let Some(secret) = gathered.referenced_secrets.get(name) else {
            return reject(Reason::SecretMissing, format!("{field}: there is no Secret {name}"));
        };
        for key in keys {
            if secret.get(key).is_none_or(String::is_empty) {
                let message = format!("{field}: the Secret {name} has no {key}, or it is empty");
                return reject(Reason::SecretInvalid, message);
            }
        }
    }
    Ok(())
}

/// Says so if the Secret for the bucket is not there.
pub fn missing_object_store_secret(gathered: &Gathered) -> Option<String> {
    let store = gathered.cluster.spec.object_store.as_ref()?;
    let name = &store.credentials.existing_secret.as_ref()?.name;
    let is_missing = !gathered.referenced_secrets.contains_key(name);
    is_missing.then(|| format!("objectStore.credentials.existingSecret: there is no Secret {name}"))
}

/// Secrets that the spec names: the field, the Secret and its keys.
pub fn referenced_secrets(spec: &KafkaClusterSpec) -> Vec<(&'static str, &str, Vec<&str>)> {
    let mut secrets = Vec::new();
    if let Some(external) = &spec.tls.external_certificate {
        secrets.push(("tls.externalCertificate", external.secret_name.as_str(), vec!["tls.crt", "tls.key"]));
    }
    if let Some(control_plane) = &spec.control_plane {
        let token = &control_plane.token_secret_ref;
        secrets.push(("controlPlane.tokenSecretRef", token.name.as_str(), vec![token.key.as_str()]));
        if let Some(ca) = &control_plane.ca_secret_ref {
            secrets.push(("controlPlane.caSecretRef", ca.name.as_str(), vec![ca.key.as_str()]));
        }
    }
    if let Some(secret) = spec.object_store.as_ref().and_then(|store| store.credentials.existing_secret.as_ref()) {
        let keys = vec![secret.access_key_id_key.as_str(), secret.secret_access_key_key.as_str()];
        secrets.push(("objectStore.credentials.existingSecret", secret.name.as_str(), keys));
    }
    secrets
}

fn validate_service_account(gathered: &Gathered) -> Result<(), Rejection> {
    let store = gathered.cluster.spec.object_store.as_ref();
    let account = store.and_then(|store| store.credentials.service_account.as_ref());
    match account {
        Some(account) if !gathered.service_account_exists => {
            let message =
                format!("objectStore.credentials.serviceAccount: there is no ServiceAccount {}", account.name);
            reject(Reason::ServiceAccountMissing, message)
        }
        _ => Ok(()),
    }
}

/// Only what is still to be done needs a StorageClass: volumes that are large enough already stay as they are.
fn validate_storage(gathered: &Gathered) -> Result<(), Rejection> {
    let Some(classes) = &gathered.storage_classes else { return Ok(()) };
    for (pool, node) in gathered.pools_with_nodes() {
        let claim = gathered.claims.iter().find(|claim| claim.metadata.name.as_deref() == Some(&node.claim));
        let class_of_claim = claim.and_then(|claim| claim.spec.as_ref()?.storage_class_name.as_ref());
        let class = match class_of_claim.or(pool.storage.class.as_ref()) {
            Some(name) => classes.get(name),
            None => classes.values().find(|class| class.is_default),
        };
        match (claim, class) {
            (None, None) => {
                let message = match &pool.storage.class {
                    Some(name) => format!("nodePools.{}.storage.class: there is no StorageClass {name}", pool.name),
                    None => format!(
                        "nodePools.{}.storage: there is no default StorageClass, and class is not set",
                        pool.name
                    ),
                };
                return reject(Reason::StorageClassMissing, message);
            }
            (Some(claim), Some(class)) if gathered.must_grow(claim, &pool.storage.size) && !class.may_grow => {
                let message = format!(
                    "nodePools.{}.storage.size: the StorageClass of the volume claim {} does not let volumes grow",
                    pool.name, node.claim
                );
                return reject(Reason::ExpansionUnsupported, message);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Says no.
pub fn reject<T>(reason: Reason, message: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection { reason, message: message.into() })
}

/// What is known of a StorageClass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageClassFacts {
    pub is_default: bool,
    pub may_grow: bool,
}

/// StorageClasses by name.
pub type StorageClasses = BTreeMap<String, StorageClassFacts>;

/// Gives every member of every pool an id; those that have one keep it. Ids are never given again.
pub fn allocate_nodes(spec: &KafkaClusterSpec, known: &[Node], names: &Names) -> Vec<Node> {
    use crate::crd::status::NodeState;
    let mut nodes = known.to_vec();
    for pool in &spec.node_pools {
        for ordinal in 0..pool.replicas {
            if nodes.iter().any(|node| node.pool == pool.name && node.ordinal == ordinal) {
                continue;
            }
            let next_id = nodes.iter().map(|node| node.id + 1).max().unwrap_or(0);
            nodes.push(Node {
                id: next_id,
                pool: pool.name.clone(),
                ordinal,
                pod: names.pod(&pool.name, ordinal),
                claim: names.claim(&pool.name, ordinal),
                state: NodeState::Absent,
                zone: None,
            });
        }
    }
    nodes
}
