//! `KafkaCluster`, the custom resource: one physical cluster of brokers on this Kubernetes.
//!
//! The schema says what the API server refuses with a sentence; what it cannot see is refused by the controller with a
//! condition. Logical clusters, keys and ACLs never enter it. Every field is acted upon: there are none for later.

pub mod conditions;
pub mod control_plane;
pub mod image;
pub mod listeners;
pub mod maintenance;
pub mod manifest;
pub mod node_pool;
pub mod object_store;
pub mod reference;
pub mod settings;
pub mod status;
pub mod tls;

#[cfg(test)]
mod manifest_tests;
#[cfg(test)]
mod rules_tests;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use control_plane::ControlPlane;
use image::Image;
use listeners::Listeners;
use maintenance::Maintenance;
use node_pool::NodePool;
use object_store::ObjectStore;
use settings::{Monitoring, Settings};
use status::KafkaClusterStatus;
use tls::Tls;

/// The longest name of a resource: names of children add up to 23 characters and have to fit a DNS label.
pub const MAX_NAME_CHARS: usize = 40;

/// What a physical cluster should be.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "millstream.dev",
    version = "v1alpha1",
    kind = "KafkaCluster",
    plural = "kafkaclusters",
    shortname = "kc",
    category = "millstream",
    namespaced,
    status = "KafkaClusterStatus",
    derive = "PartialEq",
    doc = "One physical cluster of Kafka brokers.",
    annotation("helm.sh/resource-policy", "keep"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Bootstrap", type_ = "string", json_path = ".status.endpoints.external", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 40")
        .message("metadata.name has more than 40 characters: names of its Services would not fit a DNS label")
)]
#[x_kube(validation = Rule::new("!has(oldSelf.objectStore) || has(self.objectStore)")
    .message("objectStore cannot be removed: the data is in it"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaClusterSpec {
    /// Id of the physical cluster, `pkc-…`: part of the names that clients connect to. Never changes.
    #[schemars(length(max = 36), regex(pattern = r"^pkc-[a-z0-9]{1,32}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("spec.physicalClusterId cannot change: it names the data of this cluster"))]
    pub physical_cluster_id: String,

    /// Version of Millstream that the brokers run; the tag of the image.
    #[schemars(length(max = 64), regex(pattern = r"^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}(-[a-z0-9][a-z0-9.]*)?$"))]
    #[x_kube(validation = Rule::new(VERSION_RULE).message(
        "spec.version goes up by at most one minor version at a time and never back to an earlier one: \
         go through the versions between"))]
    pub version: String,

    /// Where the image of the brokers comes from.
    pub image: Image,

    /// Groups of brokers that are alike.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".to_owned()]),
        validation = Rule::new("oldSelf.all(old, self.exists(new, new.name == old.name))")
            .message("a node pool cannot be removed or renamed: its volumes carry its name"),
        validation = Rule::new("self.exists(pool, pool.roles.exists(role, role == 'controller'))")
            .message("one node pool needs the role controller"),
        validation = Rule::new("self.exists(pool, pool.roles.exists(role, role == 'broker'))")
            .message("one node pool needs the role broker")
    )]
    pub node_pools: Vec<NodePool>,

    /// How clients reach the brokers. SASL_SSL inside this Kubernetes is always there.
    #[serde(default)]
    pub listeners: Listeners,

    /// Certificates of the listeners.
    #[serde(default)]
    pub tls: Tls,

    /// Where copies of the cluster metadata are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_store: Option<ObjectStore>,

    /// The control plane that tells the brokers about their tenants. Without it they serve the last they were told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<ControlPlane>,

    /// Defaults of the brokers.
    #[serde(default)]
    pub config: Settings,

    /// What a person asks for while operating this cluster.
    #[serde(default)]
    pub maintenance: Maintenance,

    /// What is offered to Prometheus.
    #[serde(default)]
    pub monitoring: Monitoring,

    /// What happens to the volumes and to what is in the bucket when this resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// `major.minor` of two versions: the same, the next minor, or the first minor of the next major.
const VERSION_RULE: &str = "self == oldSelf \
    || (self.split('.')[0] == oldSelf.split('.')[0] \
        && int(self.split('.')[1]) - int(oldSelf.split('.')[1]) in [0, 1]) \
    || (int(self.split('.')[0]) == int(oldSelf.split('.')[0]) + 1 && self.split('.')[1] == '0')";

/// What happens to volumes and bucket when the resource goes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// They stay, and a resource of the same name finds its data again.
    #[default]
    Retain,
    /// Volumes are deleted once no pod mounts them, then what the cluster has put into its bucket.
    Delete,
}
