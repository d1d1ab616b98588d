//! Which producer ids a broker may hand out next.

use crate::decide::Decision;
use crate::image::MetadataImage;
use crate::records::{BrokerId, MetadataRecord};

/// How many producer ids a broker takes at once, as in Kafka.
pub const PRODUCER_ID_BLOCK: i64 = 1_000;

/// Producer ids that belong to one broker from now on, and to no other ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first one.
    pub first: i64,
    /// How many.
    pub count: i64,
}

/// All producer ids are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all producer ids are taken")]
pub struct ProducerIdsExhausted;

/// Decides to give the broker the next block of producer ids.
pub fn allocate_producer_ids(
    image: &MetadataImage,
    broker_id: BrokerId,
) -> Result<Decision<ProducerIdBlock>, ProducerIdsExhausted> {
    let first = image.next_producer_id();
    let Some(next_producer_id) = first.checked_add(PRODUCER_ID_BLOCK) else {
        return Err(ProducerIdsExhausted);
    };
    let records = vec![MetadataRecord::ProducerIds { broker_id, next_producer_id }];
    Ok(Decision { records, outcome: ProducerIdBlock { first, count: PRODUCER_ID_BLOCK } })
}
