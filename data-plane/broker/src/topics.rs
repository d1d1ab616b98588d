//! What users do to topics: create, delete, add partitions, configure. Used by the Kafka APIs and by HTTP alike.
//!
//! Promises: a change is in the metadata log before it is answered, and the partitions it made are open on this
//! broker. Decides nothing itself: `millstream_metadata::decide` does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_api::ids::LogicalClusterId;
use millstream_metadata::decide::{
    self, Assignments, ConfigAlteration, CreatePartitionsRequest, CreateTopicRequest, CreatedPartitions, CreatedTopic,
    Decision, DeletedTopic, Mode, TopicError, TopicSelector,
};
use millstream_metadata::image::{ConfigValues, MetadataImage, TopicImage};
use millstream_metadata::raft::{DecideError, ProposeError};
use millstream_metadata::topic_config::{Access, ConfigType, DEFINITIONS};
use millstream_protocol::error_code::ErrorCode;
use tracing::{error, info};
use uuid::Uuid;

use crate::broker::Broker;
use crate::limits;
use crate::quotas::partition_changes::Charge;

/// Topics that are deleted with one metadata write when a tenant goes away.
const DELETE_BATCH: usize = 500;

/// Why a change of topics failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] TopicError),
    /// The tenant's partitions change too often.
    #[error(
        "the partitions of this cluster change too often: as many were created and deleted in the last five minutes as its type and size allow, try again later"
    )]
    TooFast {
        /// When.
        retry_after: Duration,
    },
    /// It could not be written now.
    #[error("the cluster metadata cannot be changed at the moment, try again")]
    Unavailable(#[source] ProposeError),
}

impl From<DecideError<TopicError>> for AdminError {
    fn from(error: DecideError<TopicError>) -> Self {
        match error {
            DecideError::Refused(refused) => Self::Refused(refused),
            DecideError::NotWritten(error) => Self::Unavailable(error),
        }
    }
}

impl AdminError {
    /// Kafka's code for it.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(refused) => {
                ErrorCode::from_code(refused.kafka_error_code()).unwrap_or(ErrorCode::UnknownServerError)
            }
            Self::TooFast { .. } => ErrorCode::ThrottlingQuotaExceeded,
            Self::Unavailable(_) => ErrorCode::CoordinatorNotAvailable,
        }
    }
}

/// A topic that a user asks for.
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// -1 for the default.
    pub(crate) partition_count: i32,
    /// -1 for the default.
    pub(crate) replication_factor: i16,
    pub(crate) assignments: Assignments,
    pub(crate) configs: BTreeMap<String, Option<String>>,
    pub(crate) mode: Mode,
}

/// Creates a topic, or says whether it could be created.
pub(crate) async fn create(
    broker: &Arc<Broker>,
    tenant: &LogicalClusterId,
    topic: NewTopic,
) -> Result<CreatedTopic, AdminError> {
    let default_count = topic.partition_count == -1 && topic.assignments.is_empty();
    let partition_count = if default_count { broker.settings.default_partitions } else { topic.partition_count };
    let added = partition_count.max(i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX));
    let charge = charge(broker, tenant, added, topic.mode)?;
    let request = CreateTopicRequest {
        topic_id: Uuid::new_v4(),
        name: topic.name,
        partition_count,
        replication_factor: topic.replication_factor,
        assignments: topic.assignments,
        configs: topic.configs,
        limits: limits::of_tenant(&broker.tenants, tenant),
        mode: topic.mode,
    };
    let owner = tenant.clone();
    let created = decide(broker, move |image| decide::create_topic(image, &owner, &request)).await?;
    charge.keep();
    if topic.mode == Mode::Apply {
        info!(tenant = %tenant, topic.id = %created.topic_id, "created a topic");
    }
    Ok(created)
}

/// Deletes a topic with its records and its committed offsets.
pub(crate) async fn delete(
    broker: &Arc<Broker>,
    tenant: &LogicalClusterId,
    selector: TopicSelector,
) -> Result<DeletedTopic, AdminError> {
    let owner = tenant.clone();
    let charge = charge(broker, tenant, partitions_of(broker, tenant, &selector), Mode::Apply)?;
    let deleted = decide(broker, move |image| decide::delete_topic(image, &owner, &selector)).await?;
    charge.keep();
    broker.groups.on_topic_deleted(tenant, deleted.name.as_str()).await;
    info!(tenant = %tenant, topic.id = %deleted.topic_id, "deleted a topic");
    Ok(deleted)
}

/// Gives a topic more partitions.
pub(crate) async fn add_partitions(
    broker: &Arc<Broker>,
    tenant: &LogicalClusterId,
    name: String,
    partition_count: i32,
    assignments: Option<Vec<Vec<i32>>>,
    mode: Mode,
) -> Result<CreatedPartitions, AdminError> {
    let limits = limits::of_tenant(&broker.tenants, tenant);
    let request = CreatePartitionsRequest { name, partition_count, assignments, limits, mode };
    let owner = tenant.clone();
    let existing = partitions_of(broker, tenant, &TopicSelector::Name(request.name.clone()));
    let charge = charge(broker, tenant, partition_count.saturating_sub(existing), mode)?;
    let added = decide(broker, move |image| decide::create_partitions(image, &owner, &request)).await?;
    charge.keep();
    Ok(added)
}

/// Charges partitions that are about to be created or deleted. Nothing is charged for asking.
fn charge(broker: &Broker, tenant: &LogicalClusterId, partitions: i32, mode: Mode) -> Result<Charge, AdminError> {
    let partitions = if mode == Mode::Apply { u64::try_from(partitions).unwrap_or(0) } else { 0 };
    let quota = broker.quotas.tenant(tenant);
    quota
        .partition_changes
        .charge(quota.clock.now(), partitions)
        .map_err(|retry_after| AdminError::TooFast { retry_after })
}

fn partitions_of(broker: &Broker, tenant: &LogicalClusterId, selector: &TopicSelector) -> i32 {
    let image = broker.metadata.image();
    let topic = image.tenant(tenant).and_then(|tenant| match selector {
        TopicSelector::Name(name) => tenant.topic_by_name(name),
        TopicSelector::Id(id) => tenant.topic_by_id(*id),
    });
    topic.map_or(0, |topic| i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX))
}

/// Changes some configs of a topic.
pub(crate) async fn alter_configs(
    broker: &Arc<Broker>,
    tenant: &LogicalClusterId,
    name: &str,
    alterations: Vec<ConfigAlteration>,
    mode: Mode,
) -> Result<(), AdminError> {
    let limits = limits::of_tenant(&broker.tenants, tenant);
    let (owner, name) = (tenant.clone(), name.to_owned());
    decide(broker, move |image| decide::alter_topic_configs(image, &owner, &name, &alterations, limits, mode)).await
}

/// Replaces all configs of a topic.
pub(crate) async fn replace_configs(
    broker: &Arc<Broker>,
    tenant: &LogicalClusterId,
    name: &str,
    configs: BTreeMap<String, Option<String>>,
    mode: Mode,
) -> Result<(), AdminError> {
    let limits = limits::of_tenant(&broker.tenants, tenant);
    let (owner, name) = (tenant.clone(), name.to_owned());
    decide(broker, move |image| decide::replace_topic_configs(image, &owner, &name, &configs, limits, mode)).await
}

/// Removes everything that a deleted logical cluster had on this physical cluster: topics, records, groups.
pub(crate) async fn delete_tenant(broker: &Arc<Broker>, tenant: &LogicalClusterId) -> Result<(), AdminError> {
    loop {
        let owner = tenant.clone();
        let more = decide(broker, move |image| Ok(decide::delete_tenant(image, &owner, DELETE_BATCH))).await?;
        if !more {
            break;
        }
    }
    broker.groups.on_tenant_deleted(tenant).await;
    info!(tenant = %tenant, "deleted everything of a logical cluster");
    Ok(())
}

async fn decide<T: Send + 'static>(
    broker: &Arc<Broker>,
    decision: impl FnOnce(&MetadataImage) -> Result<Decision<T>, TopicError> + Send + 'static,
) -> Result<T, AdminError> {
    let outcome = broker.metadata.decide(decision).await?;
    follow_metadata(broker).await;
    Ok(outcome)
}

/// Makes this broker host what the metadata says now.
pub(crate) async fn follow_metadata(broker: &Arc<Broker>) {
    let follower = Arc::clone(broker);
    let followed = tokio::task::spawn_blocking(move || follower.partitions.follow(&follower.metadata.image())).await;
    if let Err(error) = followed {
        error!(%error, "following the cluster metadata was interrupted");
    }
}

/// One config of a topic as it stands.
pub(crate) struct ConfigEntry {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) default: &'static str,
    /// Whether a user set it on this topic.
    pub(crate) is_set: bool,
    pub(crate) is_read_only: bool,
    pub(crate) config_type: ConfigType,
    pub(crate) documentation: &'static str,
}

/// All configs of a topic, ordered by name.
pub(crate) fn describe_configs(topic: &TopicImage) -> Vec<ConfigEntry> {
    describe_config_values(&topic.configs)
}

/// All configs of a topic on which these are set, ordered by name.
pub(crate) fn describe_config_values(set_values: &ConfigValues) -> Vec<ConfigEntry> {
    DEFINITIONS
        .iter()
        .map(|definition| {
            let set = set_values.get(definition.name);
            ConfigEntry {
                name: definition.name,
                value: set.cloned().unwrap_or_else(|| definition.default.to_owned()),
                default: definition.default,
                is_set: set.is_some(),
                is_read_only: definition.access == Access::ReadOnly,
                config_type: definition.config_type,
                documentation: definition.documentation,
            }
        })
        .collect()
}
