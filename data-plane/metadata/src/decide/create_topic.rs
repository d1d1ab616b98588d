//! Whether a topic can be created, and how.

use std::collections::BTreeMap;

use millstream_api::ids::LogicalClusterId;
use uuid::Uuid;

use crate::decide::placement::{check_assignments, partition_record, place, replica_count};
use crate::decide::{
    Assignments, DEFAULT_PARTITION_COUNT, Decision, MAX_CLUSTER_PARTITIONS, MAX_PARTITIONS_PER_REQUEST, Mode,
    TenantLimits, TopicError, alter_configs,
};
use crate::image::{ConfigValues, MetadataImage};
use crate::records::{BrokerId, ConfigResource, MetadataRecord};
use crate::topic_name::TopicName;

/// A request to create one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTopicRequest {
    /// The id it gets: random, chosen by the caller.
    pub topic_id: Uuid,
    /// Its name, not checked yet.
    pub name: String,
    /// How many partitions; -1 for the default, or with assignments.
    pub partition_count: i32,
    /// How many replicas; -1 for the default, or with assignments.
    pub replication_factor: i16,
    /// Replicas by partition, chosen by the requester. Empty to have them placed.
    pub assignments: Assignments,
    /// Configs to set; `None` stands for the default.
    pub configs: BTreeMap<String, Option<String>>,
    /// What the plan allows.
    pub limits: TenantLimits,
    /// Whether to do it.
    pub mode: Mode,
}

/// A topic that was created, or could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id.
    pub topic_id: Uuid,
    /// Its name.
    pub name: TopicName,
    /// How many partitions it has.
    pub partition_count: i32,
    /// How many replicas each has.
    pub replication_factor: i16,
    /// The configs that are set on it.
    pub configs: ConfigValues,
}

/// Decides whether the tenant gets this topic.
pub fn create_topic(
    image: &MetadataImage,
    tenant: &LogicalClusterId,
    request: &CreateTopicRequest,
) -> Result<Decision<CreatedTopic>, TopicError> {
    let name = check_name(image, tenant, &request.name)?;
    let replicas = place_partitions(image, request)?;
    check_partition_limit(image, tenant, request.limits, replicas.len())?;
    let configs = check_configs(request)?;

    let topic_id = request.topic_id;
    let outcome = CreatedTopic {
        topic_id,
        name: name.clone(),
        partition_count: i32::try_from(replicas.len()).unwrap_or(i32::MAX),
        replication_factor: replicas.first().map_or(0, |replicas| i16::try_from(replicas.len()).unwrap_or(i16::MAX)),
        configs: configs.clone(),
    };
    let mut records = Vec::with_capacity(1 + replicas.len() + configs.len());
    records.push(MetadataRecord::Topic { tenant: tenant.clone(), topic_id, name });
    for (partition, replicas) in (0..).zip(replicas) {
        records.push(partition_record(image, tenant, topic_id, partition, replicas));
    }
    let resource = ConfigResource::Topic { tenant: tenant.clone(), topic_id };
    for (name, value) in configs {
        records.push(MetadataRecord::Config { resource: resource.clone(), name, value: Some(value) });
    }
    Ok(request.mode.decision(records, outcome))
}

fn check_name(image: &MetadataImage, tenant: &LogicalClusterId, name: &str) -> Result<TopicName, TopicError> {
    let name = TopicName::new(name).map_err(|error| TopicError::InvalidTopic { reason: error.to_string() })?;
    let Some(colliding) = image.tenant(tenant).and_then(|tenant| tenant.colliding_name(&name)) else {
        return Ok(name);
    };
    if *colliding == name {
        return Err(TopicError::TopicExists { name: name.to_string() });
    }
    Err(TopicError::InvalidTopic { reason: format!("topic '{name}' collides with existing topic: {colliding}") })
}

fn place_partitions(image: &MetadataImage, request: &CreateTopicRequest) -> Result<Vec<Vec<BrokerId>>, TopicError> {
    if !request.assignments.is_empty() {
        if request.partition_count != -1 || request.replication_factor != -1 {
            let reason = "partition count and replication factor must be -1 if assignments are given";
            return Err(TopicError::InvalidRequest { reason: reason.to_owned() });
        }
        check_request_size(request.assignments.len())?;
        return check_assignments(image, 0, &request.assignments, None);
    }
    let partition_count = match request.partition_count {
        -1 => DEFAULT_PARTITION_COUNT,
        count if count <= 0 => {
            let reason = "number of partitions must be larger than 0, or -1 to use the default value".to_owned();
            return Err(TopicError::InvalidPartitions { reason });
        }
        count => usize::try_from(count).unwrap_or(usize::MAX),
    };
    check_request_size(partition_count)?;
    let replica_count = replica_count(image, request.replication_factor)?;
    Ok(place(image, partition_count, replica_count))
}

fn check_configs(request: &CreateTopicRequest) -> Result<ConfigValues, TopicError> {
    let mut configs = ConfigValues::new();
    for (name, value) in &request.configs {
        let Some(value) = value else {
            alter_configs::known(name)?;
            continue;
        };
        if let Some(stored) = alter_configs::accept(name, value, request.limits)? {
            configs.insert(name.clone(), stored);
        }
    }
    crate::topic_config::check_together(&configs)?;
    Ok(configs)
}

/// Refuses more partitions than one request may create.
pub(super) fn check_request_size(partition_count: usize) -> Result<(), TopicError> {
    if partition_count > MAX_PARTITIONS_PER_REQUEST {
        let reason =
            format!("{partition_count} partitions are too many, at most {MAX_PARTITIONS_PER_REQUEST} per request");
        return Err(TopicError::InvalidPartitions { reason });
    }
    Ok(())
}

/// Refuses more partitions than the plan of the tenant allows.
pub(super) fn check_partition_limit(
    image: &MetadataImage,
    tenant: &LogicalClusterId,
    limits: TenantLimits,
    added: usize,
) -> Result<(), TopicError> {
    let existing = image.tenant(tenant).map_or(0, |tenant| tenant.partition_count());
    let limit = limits.max_partitions;
    if existing.saturating_add(added) > limit {
        let reason =
            format!("{added} more partitions would exceed the limit of this cluster: {existing} of {limit} are in use");
        return Err(TopicError::PolicyViolation { reason });
    }
    if image.partition_count().saturating_add(added) > MAX_CLUSTER_PARTITIONS {
        let reason = "the physical cluster cannot hold more partitions now, try again later".to_owned();
        return Err(TopicError::PolicyViolation { reason });
    }
    Ok(())
}
