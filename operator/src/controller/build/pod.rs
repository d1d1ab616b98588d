//! The pod of a member: one container, as restricted as Kubernetes knows it. Secrets are files, never variables.

use serde_json::{Map, Value, json};

use super::{Inputs, service_account};
use crate::controller::names::{EXTERNAL_PORT, HTTP_PORT, INTERNAL_PORT, POOL_LABEL};
use crate::crd::node_pool::{Amounts, NodePool, Toleration};

/// User and group of the image.
const USER_ID: i64 = 65_532;
/// A broker closes its connections and flushes its logs in this time.
const GRACE_SECONDS: i64 = 60;
/// Recovery after a power cut reads the last segment of each partition; a start may take this many probes, one a second:
/// a new cluster is ready a moment after its broker is.
const STARTUP_PROBES: i32 = 1_800;

pub const CONFIG_FOLDER: &str = "/etc/millstream";
const VOLUME_FOLDER: &str = "/var/lib/millstream";
/// Below the volume's root, where some file systems have a folder of their own.
pub const DATA_FOLDER: &str = "/var/lib/millstream/data";
pub const TLS_FOLDER: &str = "/secrets/tls";
pub const EXTERNAL_TLS_FOLDER: &str = "/secrets/external-tls";
pub const CONTROL_PLANE_FOLDER: &str = "/secrets/control-plane";
pub const OBJECT_STORE_FOLDER: &str = "/secrets/object-store";

/// The template of a node pool's pods.
pub fn template(inputs: &Inputs<'_>, pool: &NodePool) -> Value {
    let mut labels = inputs.names.labels();
    labels.insert(POOL_LABEL.to_owned(), pool.name.clone());
    let mut pod = json!({
        "serviceAccountName": service_account::name(inputs),
        // A cloud's own identity comes by its own projected token.
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": pod_security(),
        "topologySpreadConstraints": [spread(inputs, "topology.kubernetes.io/zone"), spread(inputs, "kubernetes.io/hostname")],
        "containers": [container(inputs, pool)],
        "volumes": volumes(inputs),
    });
    choose_node(&mut pod, inputs, pool);
    json!({ "metadata": { "labels": labels }, "spec": pod })
}

/// As whom everything in a pod runs.
pub fn pod_security() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// What a container may do: nothing that it does not need.
pub fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    })
}

/// Where a pod may run, and how its image gets there.
pub fn choose_node(pod: &mut Value, inputs: &Inputs<'_>, pool: &NodePool) {
    let spec = &inputs.cluster.spec;
    if !spec.image.pull_secrets.is_empty() {
        let secrets = spec.image.pull_secrets.iter().map(|name| json!({ "name": name }));
        pod["imagePullSecrets"] = secrets.collect();
    }
    if !pool.node_selector.is_empty() {
        pod["nodeSelector"] = json!(pool.node_selector);
    }
    if !pool.tolerations.is_empty() {
        pod["tolerations"] = pool.tolerations.iter().map(toleration).collect();
    }
    if !pool.zones.is_empty() {
        let zones = json!({ "key": "topology.kubernetes.io/zone", "operator": "In", "values": pool.zones });
        pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] =
            json!([{ "matchExpressions": [zones] }]);
    }
}

/// The image as Kubernetes names it.
pub fn image(inputs: &Inputs<'_>) -> String {
    let image = &inputs.cluster.spec.image;
    let reference = format!("{}:{}", image.repository, inputs.cluster.spec.version);
    match &image.digest {
        Some(digest) => format!("{reference}@{digest}"),
        None => reference,
    }
}

fn container(inputs: &Inputs<'_>, pool: &NodePool) -> Value {
    let mut ports = vec![
        json!({ "name": "kafka", "containerPort": INTERNAL_PORT, "protocol": "TCP" }),
        json!({ "name": "http", "containerPort": HTTP_PORT, "protocol": "TCP" }),
    ];
    if inputs.has_external() {
        ports.push(json!({ "name": "kafka-external", "containerPort": EXTERNAL_PORT, "protocol": "TCP" }));
    }
    let probe = |path: &str, period: i32, failures: i32| {
        json!({
            "httpGet": { "path": path, "port": "http" },
            "periodSeconds": period,
            "timeoutSeconds": 5,
            "failureThreshold": failures,
        })
    };
    let mut container = json!({
        "name": "broker",
        "image": image(inputs),
        "imagePullPolicy": inputs.cluster.spec.image.pull_policy.as_str(),
        "args": ["broker", "--config", format!("{CONFIG_FOLDER}/$(POD_NAME).toml")],
        "env": [{ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
        "ports": ports,
        "startupProbe": probe("/livez", 1, STARTUP_PROBES),
        "livenessProbe": probe("/livez", 10, 6),
        "readinessProbe": probe("/readyz", 2, 2),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts(inputs),
    });
    if let Some(resources) = &pool.resources {
        let amounts = [("requests", &resources.requests), ("limits", &resources.limits)];
        for (word, amounts) in amounts.into_iter().filter_map(|(word, amounts)| Some((word, amounts.as_ref()?))) {
            container["resources"][word] = quantities(amounts);
        }
    }
    container
}

fn quantities(amounts: &Amounts) -> Value {
    let named = [("cpu", &amounts.cpu), ("memory", &amounts.memory)];
    let given = named.into_iter().filter_map(|(name, amount)| Some((name.to_owned(), json!(amount.as_ref()?))));
    Value::Object(given.collect::<Map<String, Value>>())
}

fn toleration(toleration: &Toleration) -> Value {
    serde_json::to_value(toleration).expect("a toleration is JSON, in the words of Kubernetes")
}

/// Members stay apart where there is room; one that fits nowhere else still starts.
fn spread(inputs: &Inputs<'_>, topology_key: &str) -> Value {
    json!({
        "maxSkew": 1,
        "topologyKey": topology_key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": { "matchLabels": inputs.names.selector() },
    })
}

fn mounts(inputs: &Inputs<'_>) -> Value {
    let mut mounts = vec![
        json!({ "name": "data", "mountPath": VOLUME_FOLDER }),
        json!({ "name": "config", "mountPath": CONFIG_FOLDER, "readOnly": true }),
        json!({ "name": "tls", "mountPath": TLS_FOLDER, "readOnly": true }),
        json!({ "name": "tmp", "mountPath": "/tmp" }),
    ];
    mounts.extend(optional_secrets(inputs).iter().map(SecretVolume::mount));
    Value::Array(mounts)
}

fn volumes(inputs: &Inputs<'_>) -> Value {
    let mut volumes = vec![
        json!({ "name": "config", "configMap": { "name": inputs.names.config_map() } }),
        json!({ "name": "tls", "secret": { "secretName": inputs.names.broker_certificate(), "defaultMode": 0o440 } }),
        json!({ "name": "tmp", "emptyDir": { "sizeLimit": "64Mi" } }),
    ];
    volumes.extend(optional_secrets(inputs).iter().map(SecretVolume::volume));
    Value::Array(volumes)
}

/// A volume with keys of a Secret of somebody else.
pub struct SecretVolume {
    name: &'static str,
    folder: &'static str,
    sources: Vec<Value>,
}

impl SecretVolume {
    pub fn volume(&self) -> Value {
        json!({ "name": self.name, "projected": { "sources": self.sources, "defaultMode": 0o440 } })
    }

    pub fn mount(&self) -> Value {
        json!({ "name": self.name, "mountPath": self.folder, "readOnly": true })
    }
}

/// Secrets of others that the spec names, each key under the name that the broker's configuration says.
fn optional_secrets(inputs: &Inputs<'_>) -> Vec<SecretVolume> {
    let spec = &inputs.cluster.spec;
    let mut volumes = Vec::new();
    if inputs.external_certificate.is_some() {
        let secret = inputs.names.external_certificate();
        let sources = ["tls.crt", "tls.key"].map(|key| source(&secret, key, key)).to_vec();
        volumes.push(SecretVolume { name: "external-tls", folder: EXTERNAL_TLS_FOLDER, sources });
    }
    if let Some(control_plane) = &spec.control_plane {
        let token = &control_plane.token_secret_ref;
        let mut sources = vec![source(&token.name, &token.key, "token")];
        let ca = control_plane.ca_secret_ref.as_ref();
        sources.extend(ca.map(|ca| source(&ca.name, &ca.key, "ca.crt")));
        volumes.push(SecretVolume { name: "control-plane", folder: CONTROL_PLANE_FOLDER, sources });
    }
    volumes.extend(object_store_secret(inputs));
    volumes
}

/// The access key of the bucket. Absent when there is no bucket, or the cloud knows the pod.
pub fn object_store_secret(inputs: &Inputs<'_>) -> Option<SecretVolume> {
    let secret = inputs.cluster.spec.object_store.as_ref()?.credentials.existing_secret.as_ref()?;
    let sources = vec![
        source(&secret.name, &secret.access_key_id_key, "access-key-id"),
        source(&secret.name, &secret.secret_access_key_key, "secret-access-key"),
    ];
    Some(SecretVolume { name: "object-store", folder: OBJECT_STORE_FOLDER, sources })
}

fn source(secret: &str, key: &str, path: &str) -> Value {
    json!({ "secret": { "name": secret, "items": [{ "key": key, "path": path }] } })
}
