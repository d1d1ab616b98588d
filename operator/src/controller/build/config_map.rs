//! The configuration files of the brokers: one for each pod, named after it.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use super::{Inputs, broker_toml};
use crate::controller::kinds::Kind;
use crate::crd::status::Node;

/// `<pod>.toml` for every member.
pub fn build(inputs: &Inputs<'_>) -> DynamicObject {
    let file = |node: &Node| (format!("{}.toml", node.pod), Value::String(broker_toml::render(inputs, node)));
    let files: Map<String, Value> = inputs.nodes.iter().map(file).collect();
    inputs.object(Kind::ConfigMap, &inputs.names.config_map(), json!({ "data": files }))
}
