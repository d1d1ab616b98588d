//! What Prometheus scrapes, where its operator is installed.

use kube::core::DynamicObject;
use serde_json::json;

use super::Inputs;
use crate::controller::kinds::Kind;

pub fn build(inputs: &Inputs<'_>) -> Option<DynamicObject> {
    let wanted = inputs.cluster.spec.monitoring.pod_monitor && inputs.served.has(Kind::PodMonitor);
    let body = || {
        json!({
            "spec": {
                "selector": { "matchLabels": inputs.names.selector() },
                "podMetricsEndpoints": [{ "port": "http", "path": "/metrics" }],
            },
        })
    };
    wanted.then(|| inputs.object(Kind::PodMonitor, inputs.names.cluster(), body()))
}
