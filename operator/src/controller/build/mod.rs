//! All objects of a physical cluster, from its spec and what was gathered. Pure: the same input gives the same objects.
//!
//! Secrets of others are mounted as files. Of their contents only an external certificate gets into an object that is built
//! here, a Secret: pods take the copy that was looked at, never the original.

mod broker_toml;
pub mod bucket_purge;
mod config_map;
mod disruption_budget;
mod network_policy;
mod pod;
mod pod_monitor;
mod routes;
mod secrets;
mod service_account;
mod services;
mod stateful_set;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::kinds::Kind;
use super::names::Names;
use super::served::Served;
use crate::crd::KafkaCluster;
use crate::crd::listeners::{ExternalKind, ExternalListener};
use crate::crd::status::Node;

/// What objects are made of, besides the resource itself.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    pub cluster: &'a KafkaCluster,
    pub names: &'a Names,
    /// Members with the ids that the status has given them.
    pub nodes: &'a [Node],
    /// Ports that Kubernetes chose for Services of the type NodePort, by name of the Service.
    pub node_ports: &'a BTreeMap<String, u16>,
    pub certificates: &'a CertificateFiles,
    /// A user's own certificate for the external listener.
    pub external_certificate: Option<&'a BTreeMap<String, String>>,
    /// Kinds that this Kubernetes has.
    pub served: &'a Served,
}

/// What the Secrets and the ConfigMap of certificates hold.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Entries of the Secret of the certificate authority.
    pub authority: BTreeMap<String, String>,
    /// PEM of everything that clients have to trust.
    pub trusted: String,
    /// Certificate chain of the brokers.
    pub certificate: String,
    /// Private key of the brokers.
    pub key: String,
}

impl std::fmt::Debug for CertificateFiles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CertificateFiles").field("trusted", &self.trusted).finish_non_exhaustive()
    }
}

/// Everything that a physical cluster is made of.
#[derive(Clone, Debug)]
pub struct Objects {
    pub service_account: Option<DynamicObject>,
    pub secrets: Vec<DynamicObject>,
    pub config_maps: Vec<DynamicObject>,
    pub services: Vec<DynamicObject>,
    pub network_policy: DynamicObject,
    pub disruption_budget: DynamicObject,
    pub routes: Vec<DynamicObject>,
    pub pod_monitor: Option<DynamicObject>,
    /// Absent while the pods cannot be described yet: a node port is not chosen.
    pub stateful_sets: Vec<DynamicObject>,
    /// What every member has to run, by name of its node pool.
    pub revisions: BTreeMap<String, String>,
}

impl Objects {
    /// Everything, in the order in which it is applied.
    pub fn in_order(&self) -> Vec<(Kind, &DynamicObject)> {
        let mut objects = Vec::new();
        objects.extend(self.service_account.iter().map(|object| (Kind::ServiceAccount, object)));
        objects.extend(self.secrets.iter().map(|object| (Kind::Secret, object)));
        objects.extend(self.config_maps.iter().map(|object| (Kind::ConfigMap, object)));
        objects.extend(self.services.iter().map(|object| (Kind::Service, object)));
        objects.push((Kind::NetworkPolicy, &self.network_policy));
        objects.push((Kind::PodDisruptionBudget, &self.disruption_budget));
        objects.extend(self.routes.iter().map(|object| (Kind::TlsRoute, object)));
        objects.extend(self.pod_monitor.iter().map(|object| (Kind::PodMonitor, object)));
        objects.extend(self.stateful_sets.iter().map(|object| (Kind::StatefulSet, object)));
        objects
    }
}

/// Makes all objects.
pub fn build(inputs: &Inputs<'_>) -> Objects {
    let config_map = config_map::build(inputs);
    let described = inputs.node_ports_known();
    let pools = &inputs.cluster.spec.node_pools;
    let mut stateful_sets = Vec::new();
    let mut revisions = BTreeMap::new();
    for pool in pools.iter().filter(|_| described) {
        let (stateful_set, revision) = stateful_set::build(inputs, pool, &config_map);
        stateful_sets.push(stateful_set);
        revisions.insert(pool.name.clone(), revision);
    }
    let mut config_maps = vec![secrets::trusted_certificates(inputs)];
    config_maps.extend(described.then_some(config_map));
    Objects {
        service_account: service_account::build(inputs),
        secrets: secrets::build(inputs),
        config_maps,
        services: services::build(inputs),
        network_policy: network_policy::build(inputs),
        disruption_budget: disruption_budget::build(inputs),
        routes: routes::build(inputs),
        pod_monitor: pod_monitor::build(inputs),
        stateful_sets,
        revisions,
    }
}

impl Inputs<'_> {
    fn external(&self) -> &ExternalListener {
        &self.cluster.spec.listeners.external
    }

    fn has_external(&self) -> bool {
        self.external().kind != ExternalKind::None
    }

    /// Brokers tell clients their node ports, so these have to be known before a pod starts.
    fn node_ports_known(&self) -> bool {
        let chosen = |node: &Node| self.node_ports.contains_key(&self.names.external_broker_service(node.id));
        self.external().kind != ExternalKind::NodePort || self.nodes.iter().all(chosen)
    }

    /// The port that clients from outside are told for one broker.
    fn external_port(&self, id: i32) -> u16 {
        let chosen = self.node_ports.get(&self.names.external_broker_service(id));
        match self.external().kind {
            ExternalKind::NodePort => chosen.copied().unwrap_or(self.external().port),
            ExternalKind::None | ExternalKind::LoadBalancer | ExternalKind::TlsRoute => self.external().port,
        }
    }

    /// An object of this cluster: labels, namespace, and the owner with which it goes.
    fn object(&self, kind: Kind, name: &str, body: Value) -> DynamicObject {
        let mut object = json!({
            "apiVersion": self.served.api_version(kind),
            "kind": kind.name(),
            "metadata": {
                "name": name,
                "namespace": self.names.namespace(),
                "labels": self.names.labels(),
                "ownerReferences": [{
                    "apiVersion": "millstream.dev/v1alpha1",
                    "kind": "KafkaCluster",
                    "name": self.names.cluster(),
                    "uid": self.cluster.metadata.uid.clone().unwrap_or_default(),
                    "controller": true,
                    "blockOwnerDeletion": true,
                }],
            },
        });
        merge(&mut object, body);
        serde_json::from_value(object).expect("an object with metadata")
    }
}

/// Puts `more` into `object`, below what is there.
fn merge(object: &mut Value, more: Value) {
    match (object, more) {
        (Value::Object(object), Value::Object(more)) => {
            for (name, value) in more {
                merge(object.entry(name).or_insert(Value::Null), value);
            }
        }
        (object, more) => *object = more,
    }
}
