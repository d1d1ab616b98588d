//! Consumer groups, their members, and what these read.

use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Metadata, Related};

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaConsumerGroup)]
pub struct ConsumerGroup {
    /// Always `KafkaConsumerGroup`.
    pub kind: &'static str,
    /// Where it is read.
    pub metadata: Metadata,
    /// The cluster.
    pub cluster_id: String,
    /// The id of the group.
    pub consumer_group_id: String,
    /// Whether it only stores offsets.
    pub is_simple: bool,
    /// How partitions are assigned; empty while nothing is agreed.
    pub partition_assignor: String,
    /// Kafka's name of the state, in upper case.
    pub state: &'static str,
    /// Always `CLASSIC`.
    #[serde(rename = "type")]
    pub group_type: &'static str,
    /// Whether members of both protocols are in it.
    pub is_mixed_consumer_group: bool,
    /// The broker that coordinates it.
    pub coordinator: Related,
    /// The members.
    pub consumers: Related,
    /// How far it is behind.
    pub lag_summary: Related,
}

/// A member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaConsumer)]
pub struct Consumer {
    /// Always `KafkaConsumer`.
    pub kind: &'static str,
    /// Where it is read.
    pub metadata: Metadata,
    /// The cluster.
    pub cluster_id: String,
    /// The group.
    pub consumer_group_id: String,
    /// The id that the coordinator gave.
    pub consumer_id: String,
    /// The id that the client brought, if it is a static member.
    pub instance_id: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// What it reads.
    pub assignments: Related,
}

/// A partition that a member of a consumer group reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaConsumerAssignment)]
pub struct ConsumerAssignment {
    /// Always `KafkaConsumerAssignment`.
    pub kind: &'static str,
    /// Where it is read.
    pub metadata: Metadata,
    /// The cluster.
    pub cluster_id: String,
    /// The group.
    pub consumer_group_id: String,
    /// The member.
    pub consumer_id: String,
    /// The topic.
    pub topic_name: String,
    /// The partition.
    pub partition_id: i32,
    /// The partition.
    pub partition: Related,
    /// How far the group is behind there.
    pub lag: Related,
}
