//! The values of the chart `millstream`: what `values.yaml` may say. Their schema is generated from here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Part of a Kubernetes object, taken over as it is and checked by the API server.
type KubernetesObject = Map<String, Value>;
/// Labels, annotations and the like.
type Strings = BTreeMap<String, String>;

/// Declares structs whose fields are all required (values.yaml has each of them) and that refuse unknown ones.
macro_rules! values {
    ($($(#[$about:meta])+ $name:ident { $($(#[$note:meta])* $field:ident: $kind:ty,)+ })+) => {
        $(
            $(#[$about])+
            #[derive(Deserialize, JsonSchema)]
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            #[allow(dead_code, reason = "the schema is made of the fields; a test reads values.yaml into them")]
            pub struct $name { $($(#[$note])* $field: $kind,)+ }
        )+
    };
}

values! {
    /// Values of the chart millstream.
    Values {
        /// What Helm gives to every chart below another one.
        #[serde(default)]
        global: KubernetesObject,
        /// Replaces the whole beginning of the names of objects.
        #[schemars(length(max = 40), regex(pattern = NAME))]
        fullname_override: String,
        /// The image of every process.
        image: Image,
        /// One replica of the control plane on a file. Not for production.
        development: Development,
        /// The control plane.
        control_plane: ControlPlane,
        /// The operator and its agent.
        operator: Operator,
        /// The physical clusters that the agent makes.
        brokers: Brokers,
        /// Where brokers keep copies of the cluster metadata.
        object_store: ObjectStore,
        /// NetworkPolicies of control plane and operator.
        network_policy: NetworkPolicy,
        /// What is made for the Prometheus operator and for Grafana.
        monitoring: Monitoring,
    }

    /// The image of every process.
    Image {
        /// Registry in front of the repository.
        registry: String,
        /// Repository.
        #[schemars(length(min = 1))]
        repository: String,
        /// Tag; the chart's appVersion if empty.
        tag: String,
        /// Digest, which says which image runs.
        #[schemars(regex(pattern = r"^(sha256:[a-f0-9]{64})?$"))]
        digest: String,
        /// When the image is pulled.
        pull_policy: PullPolicy,
        /// Names of Secrets with the credentials of the registry.
        pull_secrets: Vec<String>,
    }

    /// One replica of the control plane on a file in a volume.
    Development {
        /// Whether.
        enabled: bool,
        /// StorageClass of the volume; the default one if empty.
        storage_class: String,
        /// Size of the volume.
        #[schemars(regex(pattern = QUANTITY))]
        storage: String,
    }

    /// The control plane.
    ControlPlane {
        /// Whether this release has one.
        enabled: bool,
        /// Replicas, all at work.
        #[schemars(range(min = 1, max = 20))]
        replicas: u32,
        /// How clients reach the REST API; inside of Kubernetes if empty.
        #[schemars(regex(pattern = r"^(https?://[^/ ]+)?$"))]
        public_url: String,
        /// Filter of the log, such as info.
        #[schemars(length(min = 1))]
        log: String,
        /// The first organization.
        organization: Organization,
        /// PostgreSQL.
        database: Database,
        /// The secret from which everything secret is derived.
        installation_secret: InstallationSecret,
        /// Secret with the certificate of the REST API.
        tls_secret: String,
        /// Service of the REST API.
        service: Service,
        /// Ingress of the REST API.
        ingress: Ingress,
        /// HTTPRoute (Gateway API) of the REST API.
        http_route: HttpRoute,
        /// Where agents and brokers dial in.
        fleet: Fleet,
        /// Resources of a pod.
        resources: KubernetesObject,
        /// PriorityClass of the pods.
        priority_class_name: String,
        /// More labels of the pods.
        pod_labels: Strings,
        /// More annotations of the pods.
        pod_annotations: Strings,
        /// Nodes on which the pods may run.
        node_selector: Strings,
        /// Taints that the pods put up with.
        tolerations: Vec<KubernetesObject>,
        /// Affinity of the pods.
        affinity: KubernetesObject,
    }

    /// The first organization.
    Organization {
        /// Its name.
        #[schemars(length(min = 1, max = 64))]
        name: String,
        /// E-mail address of its first user.
        #[schemars(length(min = 3, max = 254))]
        admin_email: String,
        /// Secret with api-key, api-secret, admin-email and admin-password; one is made if empty.
        existing_secret: String,
    }

    /// PostgreSQL.
    Database {
        /// Secret with the URL.
        existing_secret: String,
        /// Key of the URL in it.
        #[schemars(length(min = 1))]
        url_key: String,
    }

    /// The secret from which everything secret is derived.
    InstallationSecret {
        /// Secret with the key installation-secret, 32 random bytes; one is made if empty.
        existing_secret: String,
    }

    /// A Service.
    Service {
        /// Its type.
        #[serde(rename = "type")]
        kind: ServiceType,
        /// Its port.
        #[schemars(range(min = 1, max = 65535))]
        port: u16,
        /// Its annotations.
        annotations: Strings,
    }

    /// An Ingress.
    Ingress {
        /// Whether.
        enabled: bool,
        /// IngressClass; the default one if empty.
        class_name: String,
        /// Host name.
        host: String,
        /// Secret with the certificate.
        tls_secret: String,
        /// Annotations.
        annotations: Strings,
    }

    /// An HTTPRoute of the Gateway API.
    HttpRoute {
        /// Whether.
        enabled: bool,
        /// Gateways, as `parentRefs`.
        parent_refs: Vec<KubernetesObject>,
        /// Host names; all if empty.
        hostnames: Vec<String>,
    }

    /// Where agents and brokers dial in.
    Fleet {
        /// Service.
        service: Service,
        /// More names in the certificate that the chart makes.
        server_names: Vec<String>,
        /// Secret with ca.crt, tls.crt, tls.key of the control plane; made if empty.
        server_tls_secret: String,
        /// Secret with ca.crt, tls.crt, tls.key of the agent; made if empty.
        agent_tls_secret: String,
        /// Secret with the key token, which agents present; made if empty.
        agent_token_secret: String,
    }

    /// The operator and its agent.
    Operator {
        /// Whether this release has one.
        enabled: bool,
        /// Replicas, one at work.
        #[schemars(range(min = 1, max = 5))]
        replicas: u32,
        /// Filter of the log, such as info.
        #[schemars(length(min = 1))]
        log: String,
        /// What makes resources of what the control plane asks for.
        agent: Agent,
        /// Resources of a pod.
        resources: KubernetesObject,
        /// PriorityClass of the pods.
        priority_class_name: String,
        /// More labels of the pods.
        pod_labels: Strings,
        /// More annotations of the pods.
        pod_annotations: Strings,
        /// Nodes on which the pods may run.
        node_selector: Strings,
        /// Taints that the pods put up with.
        tolerations: Vec<KubernetesObject>,
        /// Affinity of the pods.
        affinity: KubernetesObject,
    }

    /// What makes resources of what the control plane asks for.
    Agent {
        /// Whether.
        enabled: bool,
        /// Who it is to the control plane; namespace and name of the release if empty.
        id: String,
        /// The control plane, if it is not in this release.
        #[schemars(regex(pattern = r"^(https://[^/ ]+)?$"))]
        endpoint: String,
        /// What this Kubernetes serves; every region if empty.
        regions: Vec<Region>,
    }

    /// A region of a cloud.
    Region {
        /// Cloud.
        cloud: Cloud,
        /// Region, such as eu-central-1.
        #[schemars(length(min = 1))]
        region: String,
    }

    /// The physical clusters that the agent makes.
    Brokers {
        /// StorageClass of their volumes; the default one if empty.
        storage_class: String,
        /// A broker that hosts many Basic and Standard clusters.
        shared: Size,
        /// A broker of a Dedicated cluster, for each CKU.
        per_cku: Size,
        /// What the clusters on a shared one may reserve together.
        shared_capacity: SharedCapacity,
        /// Shared ones in each region at most: another one is made before those that are there are full.
        #[schemars(range(min = 1, max = 8))]
        max_shared: u32,
        /// Clients outside of Kubernetes.
        external: External,
    }

    /// What a broker is sure to have.
    Size {
        /// GiB of its volume.
        #[schemars(range(min = 1))]
        storage_gib: u32,
        /// Thousandths of a CPU.
        #[schemars(range(min = 1))]
        cpu_millis: u32,
        /// MiB of memory, which it never exceeds.
        #[schemars(range(min = 1))]
        memory_mib: u32,
    }

    /// What logical clusters may reserve together; 0 for as much as they like.
    SharedCapacity {
        /// Partitions.
        partitions: u64,
        /// Bytes a second that come in.
        ingress_bytes_per_second: u64,
        /// Connections.
        connections: u64,
    }

    /// Clients outside of Kubernetes.
    External {
        /// How they come in.
        #[serde(rename = "type")]
        kind: ExternalKind,
        /// Names are <pkc>.<domain> and b<id>-<pkc>.<domain>.
        #[schemars(length(max = 180))]
        domain: String,
        /// Port that they connect to.
        #[schemars(range(min = 1, max = 65535))]
        port: u16,
        /// A Gateway that passes TLS through, for tlsRoute.
        gateway: Gateway,
        /// Secret with a certificate for *.<domain>; the authority of each cluster signs if empty.
        certificate_secret: String,
    }

    /// A Gateway of the Gateway API.
    Gateway {
        /// Its name.
        name: String,
        /// Its namespace; that of the release if empty.
        namespace: String,
        /// Its listener; all that match if empty.
        section_name: String,
    }

    /// Where brokers keep copies of the cluster metadata.
    ObjectStore {
        /// The bucket; nowhere if empty.
        bucket: String,
        /// The region to sign for.
        #[schemars(length(min = 1))]
        region: String,
        /// URL of another S3 than that of AWS.
        #[schemars(regex(pattern = r"^(https?://[^/ ]+/?)?$"))]
        endpoint: String,
        /// Whether the bucket is part of the path.
        path_style: bool,
        /// Secret with access-key-id and secret-access-key.
        existing_secret: String,
        /// ServiceAccount that the cloud lets in.
        service_account: String,
    }

    /// NetworkPolicies of control plane and operator.
    NetworkPolicy {
        /// Whether.
        enabled: bool,
        /// Who may reach the REST API; everybody if empty.
        api_from: Vec<KubernetesObject>,
        /// Who may reach the fleet port besides the pods of the namespace.
        fleet_from: Vec<KubernetesObject>,
        /// Who may read metrics; everybody in the cluster if empty.
        monitoring_from: Vec<KubernetesObject>,
        /// Ports of PostgreSQL.
        #[schemars(length(min = 1))]
        database_ports: Vec<u16>,
        /// Where PostgreSQL is; anywhere if empty.
        database_to: Vec<KubernetesObject>,
    }

    /// What is made for the Prometheus operator and for Grafana.
    Monitoring {
        /// PodMonitors.
        pod_monitors: bool,
        /// PrometheusRules.
        prometheus_rules: bool,
        /// ConfigMap with dashboards.
        dashboards: bool,
    }
}

/// A DNS label, or nothing.
const NAME: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$";
/// A quantity of Kubernetes.
const QUANTITY: &str = "^[0-9]+(\\.[0-9]+)?([KMGTPE]i?)?$";

/// When an image is pulled.
#[derive(Deserialize, JsonSchema)]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// Type of a Service.
#[derive(Deserialize, JsonSchema)]
pub enum ServiceType {
    ClusterIP,
    NodePort,
    LoadBalancer,
}

/// How clients outside of Kubernetes come in.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ExternalKind {
    None,
    LoadBalancer,
    NodePort,
    TlsRoute,
}

/// A cloud, as the API names it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Cloud {
    Aws,
    Gcp,
    Azure,
}
