//! Names of everything that belongs to one cluster. They never change: volumes and clients know them.

use std::collections::BTreeMap;

use crate::crd::status::Node;

/// Port of the internal listener, on pods and Services.
pub const INTERNAL_PORT: u16 = 9092;
/// Port of the external listener on pods.
pub const EXTERNAL_PORT: u16 = 9093;
/// Port of health, metrics and restart probes on pods.
pub const HTTP_PORT: u16 = 8080;

/// Who owns the fields that the controller sets, for server-side apply.
pub const FIELD_MANAGER: &str = "millstream-operator";
/// Label: name of the KafkaCluster.
pub const CLUSTER_LABEL: &str = "millstream.dev/cluster";
/// Label: name of the node pool.
pub const POOL_LABEL: &str = "millstream.dev/pool";
/// Label: the controller made it and may delete it.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Annotation of pods: what they run, as a digest.
pub const REVISION_ANNOTATION: &str = "millstream.dev/revision";
/// Finalizer of a KafkaCluster.
pub const FINALIZER: &str = "millstream.dev/kafka-cluster";
/// Label that Kubernetes puts on the pods of a StatefulSet.
pub const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";

/// Names of the objects of one cluster.
#[derive(Clone, Debug)]
pub struct Names {
    cluster: String,
    namespace: String,
    physical_cluster_id: String,
    domain: String,
}

impl Names {
    /// `domain` is empty without an external listener.
    pub fn new(namespace: &str, cluster: &str, physical_cluster_id: &str, domain: &str) -> Self {
        let [cluster, namespace, physical_cluster_id, domain] =
            [cluster, namespace, physical_cluster_id, domain].map(str::to_owned);
        Self { cluster, namespace, physical_cluster_id, domain }
    }

    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The StatefulSet of a node pool.
    pub fn stateful_set(&self, pool: &str) -> String {
        format!("{}-{pool}", self.cluster)
    }

    pub fn pod(&self, pool: &str, ordinal: i32) -> String {
        format!("{}-{ordinal}", self.stateful_set(pool))
    }

    /// The volume claim of a pod, as the StatefulSet names it.
    pub fn claim(&self, pool: &str, ordinal: i32) -> String {
        format!("data-{}", self.pod(pool, ordinal))
    }

    /// The headless Service that gives pods their names.
    pub fn headless_service(&self) -> String {
        format!("{}-brokers", self.cluster)
    }

    pub fn bootstrap_service(&self) -> String {
        format!("{}-bootstrap", self.cluster)
    }

    /// What clients from outside bootstrap from.
    pub fn external_service(&self) -> String {
        format!("{}-external", self.cluster)
    }

    /// What leads clients from outside to one broker.
    pub fn external_broker_service(&self, id: i32) -> String {
        format!("{}-b{id}-external", self.cluster)
    }

    pub fn config_map(&self) -> String {
        format!("{}-config", self.cluster)
    }

    /// Secret (with the key) and ConfigMap (what clients trust) of the certificate authority.
    pub fn certificate_authority(&self) -> String {
        format!("{}-ca", self.cluster)
    }

    /// Secret with the certificate of the brokers.
    pub fn broker_certificate(&self) -> String {
        format!("{}-tls", self.cluster)
    }

    /// Secret with the certificate that the external listener presents, if it is a user's own.
    pub fn external_certificate(&self) -> String {
        format!("{}-external-tls", self.cluster)
    }

    /// The Job that empties the bucket.
    pub fn bucket_purge(&self) -> String {
        format!("{}-bucket-purge", self.cluster)
    }

    /// The name of a pod on the network of this Kubernetes.
    pub fn internal_broker_host(&self, node: &Node) -> String {
        format!("{}.{}.{}.svc", node.pod, self.headless_service(), self.namespace)
    }

    pub fn internal_bootstrap_host(&self) -> String {
        format!("{}.{}.svc", self.bootstrap_service(), self.namespace)
    }

    pub fn external_bootstrap_host(&self) -> String {
        format!("{}.{}", self.physical_cluster_id, self.domain)
    }

    pub fn external_broker_host(&self, id: i32) -> String {
        format!("b{id}-{}.{}", self.physical_cluster_id, self.domain)
    }

    /// Every name that a certificate of the brokers has to be for.
    pub fn certificate_hosts(&self, nodes: &[Node], has_external: bool) -> Vec<String> {
        let short = [self.bootstrap_service(), format!("{}.{}", self.bootstrap_service(), self.namespace)];
        let bootstrap = self.internal_bootstrap_host();
        let mut hosts = [&short[..], &[format!("{bootstrap}.cluster.local"), bootstrap]].concat();
        for node in nodes {
            let host = self.internal_broker_host(node);
            hosts.extend([format!("{host}.cluster.local"), host]);
        }
        if has_external {
            hosts.push(self.external_bootstrap_host());
            hosts.extend(nodes.iter().map(|node| self.external_broker_host(node.id)));
        }
        hosts
    }

    /// Labels of every object.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = [
            ("app.kubernetes.io/name", "millstream-broker"),
            ("app.kubernetes.io/instance", &self.cluster),
            (MANAGED_BY_LABEL, FIELD_MANAGER),
            (CLUSTER_LABEL, &self.cluster),
        ];
        labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// Labels by which Services and policies find pods. Immutable in a StatefulSet: never add to them.
    pub fn selector(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(CLUSTER_LABEL.to_owned(), self.cluster.clone())])
    }
}
