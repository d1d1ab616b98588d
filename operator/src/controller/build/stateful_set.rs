//! A StatefulSet for each node pool. It replaces no pod by itself: the controller decides which one goes, and when.

use aws_lc_rs::digest::{SHA256, digest};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::{Inputs, pod};
use crate::controller::kinds::Kind;
use crate::controller::names::{POOL_LABEL, REVISION_ANNOTATION};
use crate::crd::node_pool::NodePool;

/// Bytes of a digest that are enough to tell revisions of one cluster apart.
const REVISION_BYTES: usize = 8;

/// The StatefulSet, and the revision that its members have to run.
pub fn build(inputs: &Inputs<'_>, pool: &NodePool, config_map: &DynamicObject) -> (DynamicObject, String) {
    let mut template = pod::template(inputs, pool);
    let revision = revision(&template, config_map, inputs);
    template["metadata"]["annotations"][REVISION_ANNOTATION] = json!(revision);

    let mut selector = inputs.names.selector();
    selector.insert(POOL_LABEL.to_owned(), pool.name.clone());
    let body = json!({
        "metadata": { "labels": { POOL_LABEL: pool.name } },
        "spec": {
            "replicas": pool.replicas,
            "serviceName": inputs.names.headless_service(),
            "podManagementPolicy": "Parallel",
            "updateStrategy": { "type": "OnDelete" },
            // Volumes outlive pods and StatefulSets; only the controller deletes one, and only when the spec says so.
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
            "revisionHistoryLimit": 2,
            "selector": { "matchLabels": selector },
            "template": template,
            "volumeClaimTemplates": [claim(inputs, pool)],
        },
    });
    (inputs.object(Kind::StatefulSet, &inputs.names.stateful_set(&pool.name), body), revision)
}

fn claim(inputs: &Inputs<'_>, pool: &NodePool) -> Value {
    let mut labels = inputs.names.labels();
    labels.insert(POOL_LABEL.to_owned(), pool.name.clone());
    let mut claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data", "labels": labels },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Filesystem",
            "resources": { "requests": { "storage": pool.storage.size } },
        },
    });
    if let Some(class) = &pool.storage.class {
        claim["spec"]["storageClassName"] = json!(class);
    }
    claim
}

/// What a restart would change: the template, the configuration files, and the wish to restart.
fn revision(template: &Value, config_map: &DynamicObject, inputs: &Inputs<'_>) -> String {
    let restarted_at = inputs.cluster.spec.maintenance.restarted_at;
    let contents = json!([template, config_map.data, restarted_at.map(|time| time.to_string())]);
    let digest = digest(&SHA256, contents.to_string().as_bytes());
    digest.as_ref().iter().take(REVISION_BYTES).map(|byte| format!("{byte:02x}")).collect()
}
