//! The marker that ends a transaction in a partition: a control batch with one record.
//!
//! ```text
//! key:   version 2 (0) │ type 2 (0 abort, 1 commit)
//! value: version 2 (0) │ coordinator epoch 4
//! ```

use super::{Batch, BatchBuilder, BuildError, NewRecord};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlKind {
    Abort,
    Commit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlMarker {
    pub kind: ControlKind,
    pub coordinator_epoch: i32,
}

/// Markers are a few dozen bytes; more than this is no marker.
const MAX_MARKER_BYTES: usize = 4096;

impl ControlMarker {
    /// The marker in a control batch, or `None` for control records that do not end a transaction.
    pub fn read(batch: &Batch<'_>) -> Option<Self> {
        if !batch.header.is_control() {
            return None;
        }
        let payload = batch.payload(MAX_MARKER_BYTES).ok()?;
        let record = batch.records(&payload).next()?.ok()?;
        let kind = match *record.key?.get(2..4)? {
            [0, 0] => ControlKind::Abort,
            [0, 1] => ControlKind::Commit,
            _ => return None,
        };
        let coordinator_epoch = i32::from_be_bytes(*record.value?.get(2..)?.first_chunk()?);
        Some(Self { kind, coordinator_epoch })
    }

    /// The control batch that ends a transaction of this producer.
    pub fn to_batch(self, producer_id: i64, producer_epoch: i16, timestamp: i64) -> Result<Vec<u8>, BuildError> {
        let mut key = [0_u8; 4];
        key[3] = match self.kind {
            ControlKind::Abort => 0,
            ControlKind::Commit => 1,
        };
        let mut value = [0_u8; 6];
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        let mut builder = BatchBuilder::new().producer(producer_id, producer_epoch, -1).transactional().control();
        builder.append(NewRecord { timestamp, key: Some(&key), value: Some(&value), headers: &[] });
        builder.build()
    }
}
