//! The Kafka cluster itself.

use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Metadata, Related};

/// A cluster, and where its parts are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaCluster)]
pub struct Cluster {
    /// Always `KafkaCluster`.
    pub kind: &'static str,
    /// Where it is read.
    pub metadata: Metadata,
    /// `lkc-…`
    pub cluster_id: String,
    /// Its ACLs.
    pub acls: Related,
    /// Its brokers.
    pub brokers: Related,
    /// Settings of its brokers.
    pub broker_configs: Related,
    /// Its consumer groups.
    pub consumer_groups: Related,
    /// Its topics.
    pub topics: Related,
    /// Replicas on their way to other brokers.
    pub partition_reassignments: Related,
}
