//! What follows when a broker registers, is fenced, comes back or leaves.
//!
//! A fenced broker leaves the in-sync replicas of every partition that has another live one, and leads nothing. Where
//! it was the last in-sync replica it stays in the set: it alone has every acknowledged record, so it leads again as
//! soon as it is unfenced. Another incarnation of a broker fences the earlier one by taking a new epoch.

use millstream_api::ids::LogicalClusterId;
use uuid::Uuid;

use crate::decide::Decision;
use crate::image::{BrokerRegistration, MetadataImage, PartitionImage};
use crate::records::{BrokerId, Endpoint, MAX_ENDPOINTS, MetadataRecord};

/// Why a request of a broker is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// Ids are not negative.
    #[error("broker id {broker_id} must not be negative")]
    InvalidId {
        /// The id.
        broker_id: BrokerId,
    },
    /// Too many endpoints.
    #[error("broker registers {count} endpoints, at most {MAX_ENDPOINTS} are allowed")]
    TooManyEndpoints {
        /// How many.
        count: usize,
    },
    /// The broker never registered, or left.
    #[error("broker {broker_id} is not registered")]
    NotRegistered {
        /// The broker.
        broker_id: BrokerId,
    },
    /// A later incarnation registered meanwhile.
    #[error("broker {broker_id} has registered again since epoch {stated}, its epoch is {current} now")]
    StaleEpoch {
        /// The broker.
        broker_id: BrokerId,
        /// What the request says.
        stated: i64,
        /// What holds.
        current: i64,
    },
    /// A broker that leaves must hold no replica.
    #[error("broker {broker_id} still holds replicas, move them before it leaves")]
    HoldsReplicas {
        /// The broker.
        broker_id: BrokerId,
    },
}

/// What a broker says when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRequest {
    /// Its number.
    pub broker_id: BrokerId,
    /// Random, new with each start of the process.
    pub incarnation_id: Uuid,
    /// Its failure domain.
    pub rack: Option<String>,
    /// Where it can be reached.
    pub endpoints: Vec<Endpoint>,
}

/// A broker that is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisteredBroker {
    /// Its epoch: part of what it asks from now on.
    pub broker_epoch: i64,
}

/// Decides to register a broker, fenced: it is unfenced once it has caught up with the metadata. The same incarnation
/// with the same endpoints gets the epoch it has.
pub fn register_broker(
    image: &MetadataImage,
    request: &BrokerRequest,
) -> Result<Decision<RegisteredBroker>, BrokerError> {
    if request.broker_id < 0 {
        return Err(BrokerError::InvalidId { broker_id: request.broker_id });
    }
    if request.endpoints.len() > MAX_ENDPOINTS {
        return Err(BrokerError::TooManyEndpoints { count: request.endpoints.len() });
    }
    let existing = image.broker(request.broker_id);
    if let Some(existing) = existing.filter(|existing| is_repetition(existing, request)) {
        return Ok(Decision { records: Vec::new(), outcome: RegisteredBroker { broker_epoch: existing.epoch } });
    }
    let mut records = Vec::new();
    if existing.is_some_and(|existing| !existing.fenced) {
        records = step_down(image, request.broker_id);
    }
    // The offset of the registration, as in Kafka: it grows, also over restarts. A restored snapshot may count from
    // an offset below the epochs that it brought along.
    let offset = i64::try_from(image.offset() + records.len() as u64 + 1).unwrap_or(i64::MAX);
    let broker_epoch = existing.map_or(offset, |existing| offset.max(existing.epoch.saturating_add(1)));
    records.push(MetadataRecord::RegisterBroker {
        broker_id: request.broker_id,
        incarnation_id: request.incarnation_id,
        broker_epoch,
        rack: request.rack.clone(),
        endpoints: request.endpoints.clone(),
        fenced: true,
    });
    Ok(Decision { records, outcome: RegisteredBroker { broker_epoch } })
}

/// Decides to unfence a broker: it leads the partitions that wait for it.
pub fn unfence_broker(
    image: &MetadataImage,
    broker_id: BrokerId,
    broker_epoch: i64,
) -> Result<Decision<()>, BrokerError> {
    let broker = current(image, broker_id, broker_epoch)?;
    if !broker.fenced {
        return Ok(Decision { records: Vec::new(), outcome: () });
    }
    let mut records = vec![MetadataRecord::FenceBroker { broker_id, broker_epoch, fenced: false }];
    for (tenant, topic_id, partition, image) in partitions_of(image, broker_id) {
        let waits_for_it = image.leader.is_none() && image.in_sync_replicas.contains(&broker_id);
        if waits_for_it {
            records.push(leader_change(tenant, topic_id, partition, Some(broker_id), None));
        }
    }
    Ok(Decision { records, outcome: () })
}

/// Decides to fence a broker: other live in-sync replicas lead what it led.
pub fn fence_broker(
    image: &MetadataImage,
    broker_id: BrokerId,
    broker_epoch: i64,
) -> Result<Decision<()>, BrokerError> {
    let broker = current(image, broker_id, broker_epoch)?;
    if broker.fenced {
        return Ok(Decision { records: Vec::new(), outcome: () });
    }
    let mut records = step_down(image, broker_id);
    records.push(MetadataRecord::FenceBroker { broker_id, broker_epoch, fenced: true });
    Ok(Decision { records, outcome: () })
}

/// Decides that a broker leaves for good. It must hold no replica.
pub fn unregister_broker(
    image: &MetadataImage,
    broker_id: BrokerId,
    broker_epoch: i64,
) -> Result<Decision<()>, BrokerError> {
    current(image, broker_id, broker_epoch)?;
    if partitions_of(image, broker_id).next().is_some() {
        return Err(BrokerError::HoldsReplicas { broker_id });
    }
    Ok(Decision { records: vec![MetadataRecord::UnregisterBroker { broker_id, broker_epoch }], outcome: () })
}

fn is_repetition(existing: &BrokerRegistration, request: &BrokerRequest) -> bool {
    existing.incarnation_id == request.incarnation_id
        && existing.endpoints == request.endpoints
        && existing.rack == request.rack
}

fn current(image: &MetadataImage, broker_id: BrokerId, broker_epoch: i64) -> Result<&BrokerRegistration, BrokerError> {
    let Some(broker) = image.broker(broker_id) else {
        return Err(BrokerError::NotRegistered { broker_id });
    };
    if broker.epoch != broker_epoch {
        return Err(BrokerError::StaleEpoch { broker_id, stated: broker_epoch, current: broker.epoch });
    }
    Ok(broker)
}

/// The records that take leadership and sync from a broker, where another live in-sync replica stands by.
fn step_down(image: &MetadataImage, broker_id: BrokerId) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for (tenant, topic_id, partition, partition_image) in partitions_of(image, broker_id) {
        let leads = partition_image.leader == Some(broker_id);
        let in_sync = partition_image.in_sync_replicas.contains(&broker_id);
        if !leads && !in_sync {
            continue;
        }
        let others: Vec<BrokerId> =
            partition_image.in_sync_replicas.iter().copied().filter(|other| *other != broker_id).collect();
        let successor =
            partition_image.replicas.iter().copied().find(|other| others.contains(other) && image.is_live(*other));
        match successor {
            Some(_) if !leads => records.push(in_sync_change(tenant, topic_id, partition, others)),
            Some(successor) => {
                records.push(leader_change(tenant, topic_id, partition, Some(successor), Some(others)));
            }
            None if leads => records.push(leader_change(tenant, topic_id, partition, None, None)),
            None => {}
        }
    }
    records
}

fn partitions_of(
    image: &MetadataImage,
    broker_id: BrokerId,
) -> impl Iterator<Item = (&LogicalClusterId, Uuid, i32, &PartitionImage)> {
    let topics = image.tenants().flat_map(|(tenant, of_tenant)| of_tenant.topics().map(move |topic| (tenant, topic)));
    topics
        .flat_map(|(tenant, topic)| {
            (0..).zip(&topic.partitions).map(move |(number, partition)| (tenant, topic.id, number, partition.as_ref()))
        })
        .filter(move |(_, _, _, partition)| partition.replicas.contains(&broker_id))
}

fn leader_change(
    tenant: &LogicalClusterId,
    topic_id: Uuid,
    partition: i32,
    leader: Option<BrokerId>,
    in_sync_replicas: Option<Vec<BrokerId>>,
) -> MetadataRecord {
    MetadataRecord::PartitionChange {
        tenant: tenant.clone(),
        topic_id,
        partition,
        leader: Some(leader),
        in_sync_replicas,
        replicas: None,
    }
}

fn in_sync_change(
    tenant: &LogicalClusterId,
    topic_id: Uuid,
    partition: i32,
    in_sync_replicas: Vec<BrokerId>,
) -> MetadataRecord {
    MetadataRecord::PartitionChange {
        tenant: tenant.clone(),
        topic_id,
        partition,
        leader: None,
        in_sync_replicas: Some(in_sync_replicas),
        replicas: None,
    }
}
