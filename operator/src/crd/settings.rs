//! Defaults of the brokers, and what they offer to Prometheus.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Defaults of the brokers. What is left out has the value that the broker gives it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Whether a metadata request may create a topic (`auto.create.topics.enable`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_create_topics: Option<bool>,
    /// Partitions of a topic that a client creates without saying how many (`num.partitions`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub default_partitions: Option<i32>,
    /// How long a new consumer group waits for more members (`group.initial.rebalance.delay.ms`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 300000))]
    pub initial_rebalance_delay_ms: Option<i32>,
}

/// What is offered to Prometheus.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Monitoring {
    /// Whether a PodMonitor is made where its resource exists.
    #[serde(default)]
    pub pod_monitor: bool,
}
