//! Whether a topic can get more partitions, and where they go.

use millstream_api::ids::LogicalClusterId;

use crate::decide::create_topic::{check_partition_limit, check_request_size};
use crate::decide::placement::{check_assignments, partition_record, place};
use crate::decide::{Assignments, Decision, Mode, TenantLimits, TopicError};
use crate::image::MetadataImage;

/// A request to give one topic more partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatePartitionsRequest {
    /// The topic.
    pub name: String,
    /// How many partitions it shall have in the end.
    pub partition_count: i32,
    /// Replicas of the new partitions, in order. `None` to have them placed.
    pub assignments: Option<Vec<Vec<i32>>>,
    /// What the plan allows.
    pub limits: TenantLimits,
    /// Whether to do it.
    pub mode: Mode,
}

/// Partitions that were added, or could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedPartitions {
    /// How many partitions the topic has now.
    pub partition_count: i32,
}

/// Decides whether the topic gets more partitions.
pub fn create_partitions(
    image: &MetadataImage,
    tenant: &LogicalClusterId,
    request: &CreatePartitionsRequest,
) -> Result<Decision<CreatedPartitions>, TopicError> {
    let Some(topic) = image.topic_by_name(tenant, &request.name) else {
        return Err(TopicError::UnknownTopic);
    };
    let existing = topic.partitions.len();
    let refuse = |reason: String| Err(TopicError::InvalidPartitions { reason });
    let wanted = match usize::try_from(request.partition_count) {
        Err(_) | Ok(0) => return refuse("number of partitions must be larger than 0".to_owned()),
        Ok(wanted) if wanted == existing => return refuse(format!("topic already has {existing} partitions")),
        Ok(wanted) if wanted < existing => {
            return refuse(format!(
                "topic has {existing} partitions, which is more than the requested {wanted}; partitions cannot be \
                 taken away"
            ));
        }
        Ok(wanted) => wanted,
    };
    let added = wanted - existing;
    check_request_size(added)?;
    check_partition_limit(image, tenant, request.limits, added)?;

    let first = i32::try_from(existing).unwrap_or(i32::MAX);
    let replica_count = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
    let placed = match &request.assignments {
        None => {
            let live = image.brokers().filter(|broker| !broker.fenced).count();
            if live < replica_count {
                let reason = format!("topic has {replica_count} replicas, only {live} brokers are live");
                return Err(TopicError::InvalidReplicationFactor { reason });
            }
            place(image, added, replica_count)
        }
        Some(assignments) if assignments.len() != added => {
            let reason = format!("{} assignments are given for {added} new partitions", assignments.len());
            return Err(TopicError::InvalidReplicaAssignment { reason });
        }
        Some(assignments) => {
            let assignments: Assignments = (first..).zip(assignments.iter().cloned()).collect();
            check_assignments(image, first, &assignments, Some(replica_count))?
        }
    };
    let records = (first..)
        .zip(placed)
        .map(|(partition, replicas)| partition_record(image, tenant, topic.id, partition, replicas))
        .collect();
    Ok(request.mode.decision(records, CreatedPartitions { partition_count: request.partition_count }))
}
