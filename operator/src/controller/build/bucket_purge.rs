//! The Job that removes what a cluster has put into its bucket, once its brokers are gone: the image and the Secret that
//! the brokers had.

use kube::core::DynamicObject;
use serde_json::json;

use super::pod::{CONFIG_FOLDER, choose_node, container_security, image, object_store_secret, pod_security};
use super::{Inputs, config_map, service_account};
use crate::controller::kinds::Kind;
use crate::crd::node_pool::NodePool;
use crate::crd::status::Node;

/// A Job that is not through by then is made anew, from the spec as it is then. What it removed stays removed.
const DEADLINE_SECONDS: i64 = 900;
/// The kubelet tries again, with pauses of up to five minutes: the deadline comes before this many tries.
const MAX_TRIES: i32 = 100;

/// The Job with what it needs, in the order in which it is applied. `node` is one of the members: all of them know the
/// bucket.
pub fn build(inputs: &Inputs<'_>, pool: &NodePool, node: &Node) -> Vec<(Kind, DynamicObject)> {
    let secret = object_store_secret(inputs);
    let mut mounts = vec![json!({ "name": "config", "mountPath": CONFIG_FOLDER, "readOnly": true })];
    mounts.extend(secret.iter().map(|secret| secret.mount()));
    let mut volumes = vec![json!({ "name": "config", "configMap": { "name": inputs.names.config_map() } })];
    volumes.extend(secret.iter().map(|secret| secret.volume()));
    let mut pod = json!({
        "serviceAccountName": service_account::name(inputs),
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "restartPolicy": "OnFailure",
        "securityContext": pod_security(),
        "containers": [{
            "name": "bucket-purge",
            "image": image(inputs),
            "imagePullPolicy": inputs.cluster.spec.image.pull_policy.as_str(),
            "args": ["bucket", "purge", "--config", format!("{CONFIG_FOLDER}/{}.toml", node.pod)],
            "resources": { "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "memory": "256Mi" } },
            "securityContext": container_security(),
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": mounts,
        }],
        "volumes": volumes,
    });
    choose_node(&mut pod, inputs, pool);
    let body = json!({
        "spec": {
            "backoffLimit": MAX_TRIES,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            // Not the labels of the cluster: no Service and no budget takes it for a broker.
            "template": { "metadata": { "labels": { "app.kubernetes.io/name": "millstream-bucket-purge" } }, "spec": pod },
        },
    });
    let account = service_account::build(inputs).map(|account| (Kind::ServiceAccount, account));
    let job = inputs.object(Kind::Job, &inputs.names.bucket_purge(), body);
    account.into_iter().chain([(Kind::ConfigMap, config_map::build(inputs)), (Kind::Job, job)]).collect()
}
