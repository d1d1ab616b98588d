//! Where new partitions go.
//!
//! Each partition goes to the live brokers that hold the fewest replicas so far, and is led by the one of them that
//! leads the fewest, so that brokers fill evenly whatever the mix of topics. Deterministic: equal images place equally.

use std::collections::BTreeMap;

use crate::decide::{Assignments, PLAN_REPLICATION_FACTOR, TopicError};
use crate::image::{MetadataImage, PartitionImage};
use crate::records::{BrokerId, MAX_REPLICAS, MetadataRecord};
use millstream_api::ids::LogicalClusterId;
use uuid::Uuid;

/// How many replicas and leaders a broker has.
#[derive(Debug, Default, Clone, Copy)]
struct Load {
    replicas: usize,
    leaders: usize,
}

/// Places `partition_count` partitions of `replica_count` replicas. The caller saw to it that enough brokers are live.
pub(super) fn place(image: &MetadataImage, partition_count: usize, replica_count: usize) -> Vec<Vec<BrokerId>> {
    let mut loads = current_loads(image);
    let mut placed = Vec::with_capacity(partition_count);
    for _ in 0..partition_count {
        let mut candidates: Vec<(BrokerId, Load)> = loads.iter().map(|(broker, load)| (*broker, *load)).collect();
        candidates.sort_by_key(|(broker, load)| (load.replicas, *broker));
        candidates.truncate(replica_count);
        candidates.sort_by_key(|(broker, load)| (load.leaders, load.replicas, *broker));
        let replicas: Vec<BrokerId> = candidates.into_iter().map(|(broker, _)| broker).collect();
        for (position, broker) in replicas.iter().enumerate() {
            let load = loads.entry(*broker).or_default();
            load.replicas += 1;
            load.leaders += usize::from(position == 0);
        }
        placed.push(replicas);
    }
    placed
}

fn current_loads(image: &MetadataImage) -> BTreeMap<BrokerId, Load> {
    let mut loads: BTreeMap<BrokerId, Load> =
        image.brokers().filter(|broker| !broker.fenced).map(|broker| (broker.id, Load::default())).collect();
    // With one broker there is nothing to choose, and most clusters have one: do not walk their partitions.
    if loads.len() <= 1 {
        return loads;
    }
    let topics = image.tenants().flat_map(|(_, tenant)| tenant.topics());
    for partition in topics.flat_map(|topic| &topic.partitions) {
        add_load(&mut loads, partition);
    }
    loads
}

fn add_load(loads: &mut BTreeMap<BrokerId, Load>, partition: &PartitionImage) {
    for broker in &partition.replicas {
        if let Some(load) = loads.get_mut(broker) {
            load.replicas += 1;
        }
    }
    if let Some(load) = partition.leader.and_then(|leader| loads.get_mut(&leader)) {
        load.leaders += 1;
    }
}

/// How many replicas each partition gets for the replication factor that was asked for; see ADR 0003.
pub(super) fn replica_count(image: &MetadataImage, asked: i16) -> Result<usize, TopicError> {
    let live = image.brokers().filter(|broker| !broker.fenced).count();
    let refuse = |reason: String| Err(TopicError::InvalidReplicationFactor { reason });
    if live == 0 {
        return refuse("no broker is live".to_owned());
    }
    let asked_for_the_plan = asked == -1 || usize::try_from(asked) == Ok(PLAN_REPLICATION_FACTOR);
    if asked_for_the_plan {
        return Ok(live.min(PLAN_REPLICATION_FACTOR));
    }
    match usize::try_from(asked) {
        Err(_) | Ok(0) => refuse("replication factor must be larger than 0, or -1 to use the default value".to_owned()),
        Ok(count) if count > live || count > MAX_REPLICAS => {
            refuse(format!("replication factor {count} is larger than the {live} live brokers"))
        }
        Ok(count) => Ok(count),
    }
}

/// Checks replicas that the requester chose for the partitions `first..first + assignments.len()`.
pub(super) fn check_assignments(
    image: &MetadataImage,
    first: i32,
    assignments: &Assignments,
    replica_count: Option<usize>,
) -> Result<Vec<Vec<BrokerId>>, TopicError> {
    let refuse = |reason: String| Err(TopicError::InvalidReplicaAssignment { reason });
    let mut expected_count = replica_count;
    let mut placed = Vec::with_capacity(assignments.len());
    for (expected, (partition, replicas)) in (first..).zip(assignments) {
        if *partition != expected {
            return refuse(format!("partitions must be consecutive from {first}, partition {expected} is missing"));
        }
        if replicas.is_empty() {
            return refuse(format!("partition {partition} has no replicas"));
        }
        if replicas.len() != *expected_count.get_or_insert(replicas.len()) {
            return refuse("all partitions must have the same number of replicas".to_owned());
        }
        for (position, broker) in replicas.iter().enumerate() {
            if image.broker(*broker).is_none() {
                return refuse(format!("broker {broker} is not registered"));
            }
            if replicas[..position].contains(broker) {
                return refuse(format!("partition {partition} names broker {broker} twice"));
            }
        }
        if !replicas.iter().any(|broker| image.is_live(*broker)) {
            return refuse(format!("all brokers of partition {partition} are fenced"));
        }
        placed.push(replicas.clone());
    }
    Ok(placed)
}

/// The record of a new partition: in sync are the live replicas, led by the first of them.
pub(super) fn partition_record(
    image: &MetadataImage,
    tenant: &LogicalClusterId,
    topic_id: Uuid,
    partition: i32,
    replicas: Vec<BrokerId>,
) -> MetadataRecord {
    let in_sync_replicas: Vec<BrokerId> = replicas.iter().copied().filter(|broker| image.is_live(*broker)).collect();
    MetadataRecord::Partition {
        tenant: tenant.clone(),
        topic_id,
        partition,
        leader: in_sync_replicas.first().copied(),
        replicas,
        in_sync_replicas,
        leader_epoch: 0,
        partition_epoch: 0,
    }
}
