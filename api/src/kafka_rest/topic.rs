//! Topics.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::config::ConfigValue;
use super::envelope::{Metadata, Related};

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaTopic)]
pub struct Topic {
    /// Always `KafkaTopic`.
    pub kind: &'static str,
    /// Where it is read.
    pub metadata: Metadata,
    /// The cluster.
    pub cluster_id: String,
    /// The name.
    pub topic_name: String,
    /// Whether it belongs to the service.
    pub is_internal: bool,
    /// Copies of each record.
    pub replication_factor: usize,
    /// Number of partitions.
    pub partitions_count: usize,
    /// The partitions.
    pub partitions: Related,
    /// The settings.
    pub configs: Related,
    /// Replicas on their way to other brokers.
    pub partition_reassignments: Related,
    /// Always empty: it is not told here what the caller may do.
    pub authorized_operations: Vec<&'static str>,
}

/// A topic that a caller asks for.
#[derive(Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = CreateKafkaTopic)]
pub struct CreateTopic {
    /// The name.
    pub topic_name: String,
    /// Number of partitions; what the cluster gives by default if left out.
    pub partitions_count: Option<i32>,
    /// Copies of each record; what the cluster has if left out.
    pub replication_factor: Option<i16>,
    /// Which brokers hold which partition, instead of the two numbers.
    pub replicas_assignments: Option<Vec<ReplicasAssignment>>,
    /// Settings that differ from the defaults.
    pub configs: Option<Vec<NewConfig>>,
    /// Only say whether it would succeed.
    pub validate_only: Option<bool>,
}

/// The brokers of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = KafkaReplicasAssignment)]
pub struct ReplicasAssignment {
    /// The partition.
    pub partition_id: i32,
    /// The brokers; the first one leads.
    pub broker_ids: Vec<i32>,
}

/// A setting of a new topic.
#[derive(Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = CreateKafkaTopicConfig)]
pub struct NewConfig {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Option<ConfigValue>,
}

/// More partitions for a topic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = UpdateKafkaTopic)]
pub struct UpdateTopic {
    /// The new number, which must be larger.
    pub partitions_count: i32,
}
