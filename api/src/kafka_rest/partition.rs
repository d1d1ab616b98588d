//! Partitions of topics, and their replicas.

use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Metadata, Related};

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaPartition)]
pub struct Partition {
    /// Always `KafkaPartition`.
    pub kind: &'static str,
    /// Where it is read.
    pub metadata: Metadata,
    /// The cluster.
    pub cluster_id: String,
    /// The topic.
    pub topic_name: String,
    /// The number.
    pub partition_id: i32,
    /// The replica that leads; left out while none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<Related>,
    /// The replicas.
    pub replicas: Related,
    /// Replicas on their way to other brokers.
    pub reassignment: Related,
}

/// A replica of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaReplica)]
pub struct Replica {
    /// Always `KafkaReplica`.
    pub kind: &'static str,
    /// Where it is read.
    pub metadata: Metadata,
    /// The cluster.
    pub cluster_id: String,
    /// The topic.
    pub topic_name: String,
    /// The partition.
    pub partition_id: i32,
    /// The broker that holds it.
    pub broker_id: i32,
    /// Whether it leads.
    pub is_leader: bool,
    /// Whether it has everything that the leader has.
    pub is_in_sync: bool,
    /// The broker that holds it.
    pub broker: Related,
}
