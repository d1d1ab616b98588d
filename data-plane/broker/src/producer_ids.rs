//! Producer ids out of blocks that the cluster metadata hands to this broker.
//!
//! Promises: no id is given twice, also across restarts: what is left of a block is lost with the process.

use millstream_metadata::decide::{ProducerIdBlock, ProducerIdsExhausted, allocate_producer_ids};
use millstream_metadata::raft::{DecideError, MetadataGroup};
use tokio::sync::Mutex;

/// The ids this broker may still give away.
pub(crate) struct ProducerIds {
    broker_id: i32,
    /// Held across the metadata write on purpose: whoever comes second needs the same new block.
    block: Mutex<ProducerIdBlock>,
}

/// Why there is no id.
pub(crate) type ProducerIdError = DecideError<ProducerIdsExhausted>;

impl ProducerIds {
    /// No ids yet; the first call takes a block.
    pub(crate) fn new(broker_id: i32) -> Self {
        Self { broker_id, block: Mutex::new(ProducerIdBlock { first: 0, count: 0 }) }
    }

    /// An id that nobody else has.
    pub(crate) async fn next(&self, metadata: &MetadataGroup) -> Result<i64, ProducerIdError> {
        let mut block = self.block.lock().await;
        if block.count == 0 {
            let broker_id = self.broker_id;
            *block = metadata.decide(move |image| allocate_producer_ids(image, broker_id)).await?;
        }
        let id = block.first;
        block.first += 1;
        block.count -= 1;
        Ok(id)
    }
}
