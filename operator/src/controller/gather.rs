//! Everything that the decisions about one cluster need, read once.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, ServiceAccount};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Resource;
use kube::core::DynamicObject;

use super::kinds::Kind;
use super::names::{CLUSTER_LABEL, Names};
use super::quantity;
use super::served::Served;
use super::validate::{StorageClassFacts, StorageClasses, allocate_nodes, referenced_secrets};
use crate::crd::KafkaCluster;
use crate::crd::node_pool::NodePool;
use crate::crd::status::Node;
use crate::kubernetes::Kubernetes;

const DEFAULT_CLASS_ANNOTATION: &str = "storageclass.kubernetes.io/is-default-class";

/// What was read.
#[derive(Clone, Debug)]
pub struct Gathered {
    pub cluster: KafkaCluster,
    /// Name of an older resource with the same id of a physical cluster.
    pub older_namesake: Option<String>,
    /// Members, with ids for those that have none yet.
    pub nodes: Vec<Node>,
    /// Objects that the controller made for this resource.
    pub children: Vec<(Kind, DynamicObject)>,
    pub pods: Vec<Pod>,
    pub claims: Vec<PersistentVolumeClaim>,
    /// Entries of the Secrets that the spec names and that exist.
    pub referenced_secrets: BTreeMap<String, BTreeMap<String, String>>,
    pub service_account_exists: bool,
    /// None if the operator may not read them.
    pub storage_classes: Option<StorageClasses>,
    /// Kinds that this Kubernetes has.
    pub served: Served,
    /// The Job that empties the bucket of a cluster that is being deleted.
    pub bucket_purge: Option<Job>,
}

/// Reads everything about `cluster`.
///
/// # Errors
///
/// When the API server refuses a read; nothing was decided then.
pub async fn gather(kubernetes: &Kubernetes, cluster: KafkaCluster, names: &Names) -> kube::Result<Gathered> {
    let selector = format!("{CLUSTER_LABEL}={}", names.cluster());
    let served = kubernetes.served().await?;
    let mut children = Vec::new();
    for kind in served.kinds() {
        let resource = served.resource(kind);
        let found = match kind {
            // By name: the operator has no need to see other Secrets.
            Kind::Secret => {
                let own = [names.certificate_authority(), names.broker_certificate(), names.external_certificate()];
                let mut found = Vec::new();
                for name in own {
                    found.extend(kubernetes.get_kind(&resource, &name).await?);
                }
                found
            }
            _ => kubernetes.list_kind(&resource, &selector).await?,
        };
        let ours = found.into_iter().filter(|object| is_ours(&cluster, object));
        children.extend(ours.map(|object| (kind, object)));
    }
    let spec = &cluster.spec;
    let mut secrets = BTreeMap::new();
    for (_, name, _) in referenced_secrets(spec) {
        if let Some(secret) = kubernetes.api::<Secret>().get_opt(name).await? {
            secrets.insert(name.to_owned(), entries(&secret));
        }
    }
    let account = spec.object_store.as_ref().and_then(|store| store.credentials.service_account.as_ref());
    let service_account_exists = match account {
        Some(account) => kubernetes.api::<ServiceAccount>().get_opt(&account.name).await?.is_some(),
        None => false,
    };
    let bucket_purge = match cluster.metadata.deletion_timestamp {
        Some(_) => kubernetes.api::<Job>().get_opt(&names.bucket_purge()).await?,
        None => None,
    };
    let known = cluster.status.as_ref().map(|status| status.nodes.as_slice()).unwrap_or_default();
    let older_namesake = older_namesake(&cluster, kubernetes.list("").await?);
    Ok(Gathered {
        older_namesake,
        nodes: allocate_nodes(spec, known, names),
        children,
        pods: kubernetes.list(&selector).await?,
        claims: kubernetes.list(&selector).await?,
        referenced_secrets: secrets,
        service_account_exists,
        storage_classes: storage_classes(kubernetes).await?,
        served,
        bucket_purge,
        cluster,
    })
}

fn older_namesake(cluster: &KafkaCluster, all: Vec<KafkaCluster>) -> Option<String> {
    // Two of one second have an order too.
    let age = |cluster: &KafkaCluster| (cluster.metadata.creation_timestamp.clone(), cluster.metadata.uid.clone());
    let is_older = |other: &KafkaCluster| {
        other.spec.physical_cluster_id == cluster.spec.physical_cluster_id && age(other) < age(cluster)
    };
    all.into_iter().filter(is_older).min_by_key(age).and_then(|older| older.metadata.name)
}

async fn storage_classes(kubernetes: &Kubernetes) -> kube::Result<Option<StorageClasses>> {
    let classes = kubernetes.list_cluster_wide::<StorageClass>().await?;
    let facts = |class: StorageClass| {
        let annotations = class.metadata.annotations.unwrap_or_default();
        let is_default = annotations.get(DEFAULT_CLASS_ANNOTATION).is_some_and(|value| value == "true");
        let may_grow = class.allow_volume_expansion.unwrap_or_default();
        Some((class.metadata.name?, StorageClassFacts { is_default, may_grow }))
    };
    Ok(classes.map(|classes| classes.into_iter().filter_map(facts).collect()))
}

/// Whether the controller made an object for exactly this resource, not for an earlier one of the same name.
pub fn is_ours<K: Resource>(cluster: &KafkaCluster, object: &K) -> bool {
    let owners = object.meta().owner_references.iter().flatten();
    owners.into_iter().any(|owner| Some(&owner.uid) == cluster.metadata.uid.as_ref())
}

/// Entries that are text.
pub fn entries(secret: &Secret) -> BTreeMap<String, String> {
    let texts = secret.data.iter().flatten().filter_map(|(key, value)| {
        let text = String::from_utf8(value.0.clone()).ok()?;
        Some((key.clone(), text))
    });
    texts.collect()
}

impl Gathered {
    /// An object that the controller made.
    pub fn child(&self, kind: Kind, name: &str) -> Option<&DynamicObject> {
        let same =
            |(other, object): &&(Kind, DynamicObject)| *other == kind && object.metadata.name.as_deref() == Some(name);
        self.children.iter().find(same).map(|(_, object)| object)
    }

    /// Every member with its pool.
    pub fn pools_with_nodes(&self) -> impl Iterator<Item = (&NodePool, &Node)> {
        let pools = self.cluster.spec.node_pools.iter();
        pools.flat_map(|pool| self.nodes.iter().filter(|node| node.pool == pool.name).map(move |node| (pool, node)))
    }

    /// Whether a claim asks for less than `size`.
    pub fn must_grow(&self, claim: &PersistentVolumeClaim, size: &str) -> bool {
        let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
        let asked = requests.and_then(|requests| quantity::bytes(&requests.get("storage")?.0));
        asked < quantity::bytes(size)
    }

    /// Ports that Kubernetes chose, by Service.
    pub fn node_ports(&self) -> BTreeMap<String, u16> {
        let services = self.children.iter().filter(|(kind, _)| *kind == Kind::Service);
        let chosen = services.filter_map(|(_, service)| {
            let port = service.data.pointer("/spec/ports/0/nodePort")?.as_u64()?;
            Some((service.metadata.name.clone()?, u16::try_from(port).ok()?))
        });
        chosen.collect()
    }

    /// Entries of one of our own Secrets.
    pub fn own_secret(&self, name: &str) -> BTreeMap<String, String> {
        let secret = self.child(Kind::Secret, name).cloned();
        secret.and_then(|object| object.try_parse::<Secret>().ok()).map(|secret| entries(&secret)).unwrap_or_default()
    }
}
