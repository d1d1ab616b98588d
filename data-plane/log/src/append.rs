//! Appending one batch: check the producer, roll if need be, write prefix and rest in one call, remember.
//!
//! Nothing in memory changes before the bytes are in the file, so a failure leaves the log as it was. The records are
//! not copied: only the first 16 bytes of the batch are new (base offset, length, leader epoch), or the 61 bytes of
//! the header if the topic's timestamp rules change what the checksum covers.

use std::io;

use millstream_protocol::record_batch::{
    BATCH_HEADER_BYTES, BATCH_PREFIX_BYTES, Batch, BatchHeader, CHECKSUMMED_FROM, ControlMarker, TimestampType,
    parse_header,
};

use crate::{
    Log,
    error::{AppendError, StorageError, is_disk_full},
    producers::Verdict,
};

/// Offsets and positions inside a segment are stored in 31 bits.
const MAX_RELATIVE_OFFSET: i64 = i32::MAX as i64;

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: i64,
    pub last_offset: i64,
    /// The time all its records carry, or -1 if they keep their own.
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    /// The batch was in the log already, at these offsets; nothing was written.
    pub duplicate: bool,
}

impl Log {
    /// Appends one whole batch under the next offset and returns when the operating system has it: it survives the
    /// death of this process, and after `flush` that of the machine.
    ///
    /// `header` is the validated header of `batch` (`record_batch::validate_produced`); its max timestamp is stored even
    /// where the bytes say something else. The checksum is not verified again. A batch of a producer that repeats one
    /// of its last five is not written again.
    pub fn append(
        &mut self,
        batch: &[u8],
        header: &BatchHeader,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        self.check_open()?;
        self.check_batch(batch, header)?;
        if let Some(current) = self.epochs.latest()
            && leader_epoch < current
        {
            return Err(AppendError::StaleLeaderEpoch { offered: leader_epoch, current });
        }
        let marker = ControlMarker::read(&Batch { header: *header, bytes: batch });
        let has_sequence = header.has_producer() && !header.is_control();
        if let Some(marker) = &marker {
            self.producers.check_marker(header, marker)?;
        }
        if has_sequence && let Verdict::Duplicate(first) = self.producers.check(header.producer_id, header)? {
            let answer = self.answer(first.base_offset(), first.last_offset, first.timestamp);
            return Ok(Appended { duplicate: true, ..answer });
        }

        let stored = self.stored_header(header, leader_epoch, now_ms)?;
        if self.must_roll(&stored, now_ms) {
            self.begin_segment()?;
        }
        self.begin_epoch_of(leader_epoch)?;
        self.write(batch, stored, now_ms)?;

        self.log_end_offset = stored.next_offset();
        self.is_dirty = true;
        if has_sequence {
            self.producers.record(&stored, now_ms);
        }
        if let Some(marker) = &marker
            && let Some(aborted) = self.producers.record_marker(&stored, marker, now_ms)
        {
            self.note_aborted(&aborted)?;
        }
        Ok(self.answer(stored.base_offset, stored.last_offset(), stored.max_timestamp))
    }

    fn answer(&self, base_offset: i64, last_offset: i64, max_timestamp: i64) -> Appended {
        let log_append_time_ms = match self.config.timestamp_type {
            TimestampType::CreateTime => -1,
            TimestampType::LogAppendTime => max_timestamp,
        };
        Appended {
            base_offset,
            last_offset,
            log_append_time_ms,
            log_start_offset: self.log_start_offset,
            duplicate: false,
        }
    }

    fn check_batch(&self, batch: &[u8], header: &BatchHeader) -> Result<(), AppendError> {
        if batch.len() < BATCH_HEADER_BYTES || batch.len() != header.size_bytes() {
            return Err(AppendError::Malformed { reason: "the length does not match the header" });
        }
        if header.last_offset_delta < 0 {
            return Err(AppendError::Malformed { reason: "the last offset delta is negative" });
        }
        let segment_bytes = self.config.max_segment_bytes();
        if batch.len() as u64 > segment_bytes {
            return Err(AppendError::TooLargeForSegment { size: batch.len(), segment_bytes });
        }
        Ok(())
    }

    /// The header as it will stand in the log.
    fn stored_header(&self, header: &BatchHeader, leader_epoch: i32, now_ms: i64) -> Result<BatchHeader, AppendError> {
        let mut stored = header.with_timestamp_type(self.config.timestamp_type);
        stored.base_offset = self.log_end_offset;
        stored.partition_leader_epoch = leader_epoch;
        if self.config.timestamp_type == TimestampType::LogAppendTime {
            stored.max_timestamp = now_ms;
        }
        match self.log_end_offset.checked_add(i64::from(header.last_offset_delta) + 1) {
            Some(_) => Ok(stored),
            None => Err(AppendError::Malformed { reason: "the log has no offsets left" }),
        }
    }

    fn must_roll(&self, stored: &BatchHeader, now_ms: i64) -> bool {
        let Some(active) = self.segments.last() else { return true };
        if active.size == 0 {
            return false;
        }
        let time = if stored.max_timestamp >= 0 { stored.max_timestamp } else { now_ms };
        let is_old = active.first_timestamp.is_some_and(|first| time.saturating_sub(first) >= self.config.segment_ms);
        is_old
            || active.size + stored.size_bytes() as u64 > self.config.max_segment_bytes()
            || stored.last_offset() - active.base_offset > MAX_RELATIVE_OFFSET
            || active.index.is_full(self.config.segment_index_bytes)
    }

    /// Notes a new leader epoch before the first batch that carries it.
    fn begin_epoch_of(&mut self, leader_epoch: i32) -> Result<(), StorageError> {
        if self.epochs.latest().is_some_and(|latest| latest >= leader_epoch) || leader_epoch < 0 {
            return Ok(());
        }
        self.begin_leader_epoch(leader_epoch)
    }

    fn write(&mut self, batch: &[u8], stored: BatchHeader, now_ms: i64) -> Result<(), AppendError> {
        let interval = self.config.index_interval_bytes;
        let Some(active) = self.segments.last_mut() else {
            return Err(StorageError::Closed.into());
        };
        active.index.make_room().map_err(|source| StorageError::new("writing an index", source))?;
        let received =
            parse_header(batch).map_err(|_| AppendError::Malformed { reason: "there is no batch header" })?;
        let keeps_checksum = received.attributes == stored.attributes && received.max_timestamp == stored.max_timestamp;
        let header_bytes = if keeps_checksum { stored.to_bytes() } else { with_new_checksum(stored, batch) };
        let split = if keeps_checksum { BATCH_PREFIX_BYTES } else { BATCH_HEADER_BYTES };
        let written = active.append([&header_bytes[..split], &batch[split..]], &stored, interval, now_ms);
        written.map_err(|source| self.undo_write(source).into())
    }

    /// Cuts off what a failed write may have left. Only a full disk is harmless, and only if the cut succeeded.
    fn undo_write(&mut self, source: io::Error) -> StorageError {
        const OPERATION: &str = "appending a batch";
        let Some(active) = self.segments.last() else { return StorageError::new(OPERATION, source) };
        let cut = active.log.open().and_then(|file| file.set_len(active.size));
        if !is_disk_full(&source) || cut.is_err() {
            self.poison(OPERATION, &source);
        }
        StorageError::new(OPERATION, source)
    }

    /// Writes down an aborted transaction. The marker is in the log already, so if this fails only a restart, which
    /// reads the marker, gives correct answers again.
    pub(crate) fn note_aborted(&mut self, aborted: &crate::aborted::AbortedTransaction) -> Result<(), StorageError> {
        const OPERATION: &str = "writing the transaction index";
        let Some(active) = self.segments.last_mut() else { return Ok(()) };
        let is_new = active.aborted.is_empty();
        if let Err(source) = active.aborted.append(aborted) {
            self.poison(OPERATION, &source);
            return Err(StorageError::new(OPERATION, source));
        }
        self.directory_changed |= is_new;
        Ok(())
    }
}

/// The bytes of a header whose checksum fits its changed fields and the unchanged records.
fn with_new_checksum(mut header: BatchHeader, batch: &[u8]) -> [u8; BATCH_HEADER_BYTES] {
    let changed = crc32c::crc32c(&header.to_bytes()[CHECKSUMMED_FROM..]);
    header.crc = crc32c::crc32c_append(changed, &batch[BATCH_HEADER_BYTES..]);
    header.to_bytes()
}
