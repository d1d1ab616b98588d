//! Why a record does not fit an image.

use millstream_api::ids::LogicalClusterId;
use uuid::Uuid;

use crate::records::BrokerId;
use crate::topic_name::TopicName;

/// Why a record does not fit an image. The metadata controller checks records before it proposes them, so one in the
/// log that does not apply means that the log is not what this release wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The id is taken.
    #[error("topic id {topic_id} already exists")]
    TopicIdTaken {
        /// The id.
        topic_id: Uuid,
    },
    /// The name is taken.
    #[error("topic name {name} already exists")]
    TopicNameTaken {
        /// The name.
        name: TopicName,
    },
    /// There is no such topic in this tenant.
    #[error("topic {topic_id} does not exist in {tenant}")]
    UnknownTopic {
        /// The tenant.
        tenant: LogicalClusterId,
        /// The topic.
        topic_id: Uuid,
    },
    /// There is no such partition.
    #[error("partition {partition} of topic {topic_id} does not exist")]
    UnknownPartition {
        /// The topic.
        topic_id: Uuid,
        /// The partition.
        partition: i32,
    },
    /// Partitions must be added in order.
    #[error("partition {partition} of topic {topic_id} is not the next one")]
    PartitionOutOfOrder {
        /// The topic.
        topic_id: Uuid,
        /// The partition.
        partition: i32,
    },
    /// Replicas repeat, are none, or do not hold the in-sync replicas or the leader.
    #[error("replicas of partition {partition} of topic {topic_id} contradict each other")]
    InconsistentReplicas {
        /// The topic.
        topic_id: Uuid,
        /// The partition.
        partition: i32,
    },
    /// There is no such broker.
    #[error("broker {broker_id} is not registered")]
    UnknownBroker {
        /// The broker.
        broker_id: BrokerId,
    },
    /// The record speaks of another registration of this broker.
    #[error("broker {broker_id} has epoch {current}, the record says {stated}")]
    StaleBrokerEpoch {
        /// The broker.
        broker_id: BrokerId,
        /// What the image has.
        current: i64,
        /// What the record says.
        stated: i64,
    },
    /// Numbers that must not be negative, or must grow.
    #[error("{field} must not go back to {value}")]
    Backwards {
        /// Which number.
        field: &'static str,
        /// Its refused value.
        value: i64,
    },
    /// The ACL exists already.
    #[error("an ACL on {name:?} of {tenant} exists already")]
    AclExists {
        /// The tenant.
        tenant: LogicalClusterId,
        /// The resource that the ACL is about.
        name: String,
    },
    /// There is no such ACL.
    #[error("an ACL on {name:?} of {tenant} does not exist")]
    UnknownAcl {
        /// The tenant.
        tenant: LogicalClusterId,
        /// The resource that the ACL is about.
        name: String,
    },
}
