//! How far consumer groups are behind.

use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Metadata, Related};

/// The lag of a group in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaConsumerLag)]
pub struct Lag {
    /// Always `KafkaConsumerLag`.
    pub kind: &'static str,
    /// Where it is read.
    pub metadata: Metadata,
    /// The cluster.
    pub cluster_id: String,
    /// The group.
    pub consumer_group_id: String,
    /// The topic.
    pub topic_name: String,
    /// The partition.
    pub partition_id: i32,
    /// The member that reads it; empty when nobody reads the partition now.
    pub consumer_id: String,
    /// The id that the member's client brought.
    pub instance_id: Option<String>,
    /// The member's name for itself.
    pub client_id: String,
    /// The offset that was committed.
    pub current_offset: i64,
    /// The offset of the next record.
    pub log_end_offset: i64,
    /// Records between the two.
    pub lag: i64,
}

/// The lag of a whole group. Names are empty while nothing was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaConsumerGroupLagSummary)]
pub struct LagSummary {
    /// Always `KafkaConsumerGroupLagSummary`.
    pub kind: &'static str,
    /// Where it is read.
    pub metadata: Metadata,
    /// The cluster.
    pub cluster_id: String,
    /// The group.
    pub consumer_group_id: String,
    /// The member that is furthest behind.
    pub max_lag_consumer_id: String,
    /// The id that its client brought.
    pub max_lag_instance_id: Option<String>,
    /// Its name for itself.
    pub max_lag_client_id: String,
    /// The topic where it is furthest behind.
    pub max_lag_topic_name: String,
    /// The partition where it is furthest behind.
    pub max_lag_partition_id: i32,
    /// How far.
    pub max_lag: i64,
    /// The lags of all partitions together.
    pub total_lag: i64,
    /// The member that is furthest behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lag_consumer: Option<Related>,
    /// The partition where it is furthest behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lag_partition: Option<Related>,
}
