//! The decisions of the metadata controller, each in its own file.
//!
//! A decision is a pure function of an image and a request: no clock, no randomness, no I/O. It answers with the
//! records to write and what to tell the requester, or with a refusal that carries Kafka's own error code. Run it
//! through `MetadataGroup::decide`, so that nothing comes between the image it saw and the records it wrote.

use std::collections::BTreeMap;

use crate::records::{BrokerId, MetadataRecord};

mod allocate_producer_ids;
mod alter_configs;
mod create_acls;
mod create_partitions;
mod create_topic;
mod delete_acls;
mod delete_topic;
mod placement;
mod register_broker;

pub use allocate_producer_ids::{PRODUCER_ID_BLOCK, ProducerIdBlock, ProducerIdsExhausted, allocate_producer_ids};
pub use alter_configs::{ConfigAlteration, ConfigOperation, alter_topic_configs, replace_topic_configs};
pub use create_acls::{MAX_ACLS_PER_REQUEST, create_acls, create_all_acls};
pub use create_partitions::{CreatePartitionsRequest, CreatedPartitions, create_partitions};
pub use create_topic::{CreateTopicRequest, CreatedTopic, create_topic};
pub use delete_acls::{MAX_FILTERS_PER_REQUEST, delete_acls};
pub use delete_topic::{DeletedTopic, TopicSelector, delete_tenant, delete_topic};
pub use register_broker::{
    BrokerError, BrokerRequest, RegisteredBroker, fence_broker, register_broker, unfence_broker, unregister_broker,
};

/// The most partitions one request may create, as in Kafka.
pub const MAX_PARTITIONS_PER_REQUEST: usize = 10_000;
/// The most partitions of a physical cluster: a broker may hold them all, and must be able to step down from all at
/// once, in one proposal.
pub const MAX_CLUSTER_PARTITIONS: usize = 100_000;
/// The partitions of a topic that does not say how many.
pub const DEFAULT_PARTITION_COUNT: usize = 6;
/// The replicas of a topic that does not say how many, and what every plan shows.
pub const PLAN_REPLICATION_FACTOR: usize = 3;

/// What a decision came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<T> {
    /// What to write. Empty if nothing changes, or if the request only asked whether it would be accepted.
    pub records: Vec<MetadataRecord>,
    /// What to tell the requester.
    pub outcome: T,
}

/// Whether to do it, or only to say whether it could be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Apply,
    /// Kafka's `validate_only`.
    ValidateOnly,
}

impl Mode {
    /// Of Kafka's flag.
    pub fn from_validate_only(validate_only: bool) -> Self {
        if validate_only { Self::ValidateOnly } else { Self::Apply }
    }

    fn decision<T>(self, records: Vec<MetadataRecord>, outcome: T) -> Decision<T> {
        let records = if self == Self::Apply { records } else { Vec::new() };
        Decision { records, outcome }
    }
}

/// What the plan of a logical cluster allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantLimits {
    /// Partitions of all topics together, replicas not counted.
    pub max_partitions: usize,
    /// The largest `max.message.bytes`.
    pub max_message_bytes: i64,
}

/// Replicas chosen by the requester, by partition.
pub type Assignments = BTreeMap<i32, Vec<BrokerId>>;

/// Why a request about topics is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The name is not legal, or differs from a topic's only in `.` and `_`.
    #[error("{reason}")]
    InvalidTopic {
        /// Why.
        reason: String,
    },
    /// The name is taken.
    #[error("topic '{name}' already exists")]
    TopicExists {
        /// The name.
        name: String,
    },
    /// There is no topic of this name.
    #[error("this server does not host this topic")]
    UnknownTopic,
    /// There is no topic of this id.
    #[error("this server does not host this topic id")]
    UnknownTopicId,
    /// The count of partitions is not legal.
    #[error("{reason}")]
    InvalidPartitions {
        /// Why.
        reason: String,
    },
    /// The count of replicas is not legal.
    #[error("{reason}")]
    InvalidReplicationFactor {
        /// Why.
        reason: String,
    },
    /// The replicas that the requester chose are not legal.
    #[error("{reason}")]
    InvalidReplicaAssignment {
        /// Why.
        reason: String,
    },
    /// A config is not legal.
    #[error(transparent)]
    Config(#[from] crate::topic_config::ConfigError),
    /// The plan does not allow it.
    #[error("{reason}")]
    PolicyViolation {
        /// Why.
        reason: String,
    },
    /// The request contradicts itself.
    #[error("{reason}")]
    InvalidRequest {
        /// Why.
        reason: String,
    },
}

impl TopicError {
    /// Kafka's number for this error.
    pub fn kafka_error_code(&self) -> i16 {
        use crate::topic_config::ConfigError;
        match self {
            Self::UnknownTopic => 3,
            Self::InvalidTopic { .. } => 17,
            Self::TopicExists { .. } => 36,
            Self::InvalidPartitions { .. } => 37,
            Self::InvalidReplicationFactor { .. } => 38,
            Self::InvalidReplicaAssignment { .. } => 39,
            Self::Config(ConfigError::ReadOnly { .. } | ConfigError::AbovePlanLimit { .. }) => 44,
            Self::Config(_) => 40,
            Self::InvalidRequest { .. } => 42,
            Self::PolicyViolation { .. } => 44,
            Self::UnknownTopicId => 100,
        }
    }
}
