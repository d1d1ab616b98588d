//! At most one member is taken away on purpose. A member that is broken already may always be evicted.

use kube::core::DynamicObject;
use serde_json::json;

use super::Inputs;
use crate::controller::kinds::Kind;

pub fn build(inputs: &Inputs<'_>) -> DynamicObject {
    let body = json!({
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": { "matchLabels": inputs.names.selector() },
        },
    });
    inputs.object(Kind::PodDisruptionBudget, inputs.names.cluster(), body)
}
