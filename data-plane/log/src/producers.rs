//! What a partition remembers of its idempotent and transactional producers: enough to answer a repeated batch with
//! its first offset, to refuse a gap, to fence an old epoch, and to know the oldest open transaction.
//!
//! Checking and remembering are two steps around the append, both under the owner's lock. State is bounded: producers
//! expire, and above `MAX_PRODUCERS` the longest silent ones are forgotten first. Losing the state of a producer never
//! stops it: a producer without state may begin with any sequence.

use std::collections::{BTreeMap, HashMap};

use millstream_protocol::record_batch::{BatchHeader, ControlKind, ControlMarker, increment_sequence};

use crate::{aborted::AbortedTransaction, error::AppendError};

/// How many producers a partition remembers.
pub const MAX_PRODUCERS: usize = 16_384;
/// How many are forgotten at once when there are more, so that finding the oldest is rare.
const FORGET_AT_ONCE: usize = MAX_PRODUCERS / 16;
/// How many batches a producer may have in flight and repeat.
pub(crate) const REMEMBERED_BATCHES: usize = 5;

/// One batch that may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RememberedBatch {
    pub last_sequence: i32,
    pub last_offset: i64,
    pub offset_delta: i32,
    pub timestamp: i64,
}

impl RememberedBatch {
    fn first_sequence(&self) -> i32 {
        increment_sequence(self.last_sequence, -self.offset_delta)
    }

    pub(crate) fn base_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Producer {
    pub epoch: i16,
    /// The newest `batch_count` batches, oldest first.
    pub batches: [RememberedBatch; REMEMBERED_BATCHES],
    pub batch_count: u8,
    /// When it was last heard of, by the broker's clock.
    pub last_seen_ms: i64,
    /// Where its open transaction began.
    pub transaction_start: Option<i64>,
    /// Of the last transaction marker; -1 if there was none.
    pub coordinator_epoch: i32,
}

impl Producer {
    fn new(epoch: i16) -> Self {
        Self {
            epoch,
            batches: [RememberedBatch::default(); REMEMBERED_BATCHES],
            batch_count: 0,
            last_seen_ms: 0,
            transaction_start: None,
            coordinator_epoch: -1,
        }
    }

    pub(crate) fn remembered(&self) -> &[RememberedBatch] {
        &self.batches[..usize::from(self.batch_count).min(REMEMBERED_BATCHES)]
    }

    pub(crate) fn remember(&mut self, batch: RememberedBatch) {
        if usize::from(self.batch_count) == REMEMBERED_BATCHES {
            self.batches.rotate_left(1);
            self.batches[REMEMBERED_BATCHES - 1] = batch;
        } else {
            self.batches[usize::from(self.batch_count)] = batch;
            self.batch_count += 1;
        }
    }

    fn begin_epoch(&mut self, epoch: i16) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.batch_count = 0;
        }
    }
}

/// One producer as DescribeProducers shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerView {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// -1 if no batch is remembered.
    pub last_sequence: i32,
    pub last_seen_ms: i64,
    pub coordinator_epoch: i32,
    /// Where its open transaction began, or -1.
    pub transaction_start_offset: i64,
}

/// What the table says about a batch before it is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// The batch is in the log already.
    Duplicate(RememberedBatch),
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct ProducerTable {
    producers: HashMap<i64, Producer>,
    /// Producer ids of open transactions by first offset.
    open_transactions: BTreeMap<i64, i64>,
}

impl ProducerTable {
    pub(crate) fn len(&self) -> usize {
        self.producers.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.producers.iter().map(|(id, producer)| (*id, producer))
    }

    pub(crate) fn views(&self) -> Vec<ProducerView> {
        self.iter()
            .map(|(producer_id, producer)| ProducerView {
                producer_id,
                producer_epoch: producer.epoch,
                last_sequence: producer.remembered().last().map_or(-1, |batch| batch.last_sequence),
                last_seen_ms: producer.last_seen_ms,
                coordinator_epoch: producer.coordinator_epoch,
                transaction_start_offset: producer.transaction_start.unwrap_or(-1),
            })
            .collect()
    }

    /// Puts back a producer from a snapshot.
    pub(crate) fn restore(&mut self, producer_id: i64, producer: Producer) {
        if let Some(start) = producer.transaction_start {
            self.open_transactions.insert(start, producer_id);
        }
        self.producers.insert(producer_id, producer);
    }

    /// Where the oldest open transaction began.
    pub(crate) fn first_unstable_offset(&self) -> Option<i64> {
        self.open_transactions.first_key_value().map(|(offset, _)| *offset)
    }

    /// Whether a data batch of a producer may be appended now. Changes nothing.
    pub(crate) fn check(&self, producer_id: i64, header: &BatchHeader) -> Result<Verdict, AppendError> {
        let Some(producer) = self.producers.get(&producer_id) else { return Ok(Verdict::Append) };
        let refuse =
            |expected| AppendError::OutOfOrderSequence { producer_id, offered: header.base_sequence, expected };
        if header.producer_epoch < producer.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                producer_id,
                offered: header.producer_epoch,
                current: producer.epoch,
            });
        }
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 { Ok(Verdict::Append) } else { Err(refuse(0)) };
        }
        let last_sequence = header.last_sequence();
        let repeated = producer
            .remembered()
            .iter()
            .find(|batch| batch.last_sequence == last_sequence && batch.first_sequence() == header.base_sequence);
        if let Some(batch) = repeated {
            return Ok(Verdict::Duplicate(*batch));
        }
        let Some(newest) = producer.remembered().last() else { return Ok(Verdict::Append) };
        let expected = increment_sequence(newest.last_sequence, 1);
        if header.base_sequence == expected { Ok(Verdict::Append) } else { Err(refuse(expected)) }
    }

    /// Whether a transaction marker may be appended now. Changes nothing.
    pub(crate) fn check_marker(&self, header: &BatchHeader, marker: &ControlMarker) -> Result<(), AppendError> {
        let producer_id = header.producer_id;
        let Some(producer) = self.producers.get(&producer_id) else { return Ok(()) };
        if header.producer_epoch < producer.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                producer_id,
                offered: header.producer_epoch,
                current: producer.epoch,
            });
        }
        if marker.coordinator_epoch < producer.coordinator_epoch {
            return Err(AppendError::CoordinatorFenced {
                producer_id,
                offered: marker.coordinator_epoch,
                current: producer.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Remembers a data batch that is in the log now, under its final offsets.
    pub(crate) fn record(&mut self, header: &BatchHeader, now_ms: i64) {
        self.make_room(header.producer_id);
        let producer = self.producers.entry(header.producer_id).or_insert_with(|| Producer::new(header.producer_epoch));
        producer.begin_epoch(header.producer_epoch);
        producer.last_seen_ms = now_ms;
        producer.remember(RememberedBatch {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        if header.is_transactional() && producer.transaction_start.is_none() {
            producer.transaction_start = Some(header.base_offset);
            self.open_transactions.insert(header.base_offset, header.producer_id);
        }
    }

    /// Remembers a transaction marker that is in the log now. Returns the transaction if it was aborted by it.
    pub(crate) fn record_marker(
        &mut self,
        header: &BatchHeader,
        marker: &ControlMarker,
        now_ms: i64,
    ) -> Option<AbortedTransaction> {
        self.make_room(header.producer_id);
        let producer = self.producers.entry(header.producer_id).or_insert_with(|| Producer::new(header.producer_epoch));
        producer.begin_epoch(header.producer_epoch);
        producer.last_seen_ms = now_ms;
        producer.coordinator_epoch = marker.coordinator_epoch;
        let first_offset = producer.transaction_start.take()?;
        self.open_transactions.remove(&first_offset);
        let last_offset = header.last_offset();
        let last_stable_offset = self.first_unstable_offset().unwrap_or(last_offset + 1);
        (marker.kind == ControlKind::Abort).then_some(AbortedTransaction {
            producer_id: header.producer_id,
            first_offset,
            last_offset,
            last_stable_offset,
        })
    }

    /// Forgets producers that were silent for `expiration_ms` and have no open transaction.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            let is_expired = now_ms.saturating_sub(producer.last_seen_ms) >= expiration_ms;
            !is_expired || producer.transaction_start.is_some()
        });
    }

    /// Forgets transactions that began in a part of the log that is gone, so that nothing waits for their end.
    pub(crate) fn truncate_start(&mut self, log_start_offset: i64) {
        while let Some(entry) = self.open_transactions.first_entry() {
            if *entry.key() >= log_start_offset {
                break;
            }
            let producer_id = entry.remove();
            if let Some(producer) = self.producers.get_mut(&producer_id) {
                producer.transaction_start = None;
            }
        }
    }

    fn make_room(&mut self, producer_id: i64) {
        if self.producers.len() < MAX_PRODUCERS || self.producers.contains_key(&producer_id) {
            return;
        }
        let mut by_age: Vec<(i64, i64)> = self
            .producers
            .iter()
            .filter(|(_, producer)| producer.transaction_start.is_none())
            .map(|(id, producer)| (producer.last_seen_ms, *id))
            .collect();
        // If all of them have open transactions, even those go: memory is bounded before anything else.
        if by_age.is_empty() {
            by_age = self.producers.iter().map(|(id, producer)| (producer.last_seen_ms, *id)).collect();
        }
        by_age.sort_unstable();
        for (_, id) in by_age.into_iter().take(FORGET_AT_ONCE) {
            let start = self.producers.remove(&id).and_then(|producer| producer.transaction_start);
            if let Some(start) = start {
                self.open_transactions.remove(&start);
            }
        }
    }
}
