//! Deleting the oldest records: by age, by size, or because a client asked for it. Whole segments go; inside a segment
//! only the log start offset moves.

use std::time::UNIX_EPOCH;

use crate::{
    Log, disk,
    error::{ReadError, StorageError},
    segment::Segment,
    snapshot,
};

/// A segment that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    pub base_offset: i64,
    pub end_offset: i64,
    pub size_bytes: u64,
    pub reason: DeletionReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletionReason {
    /// Its youngest record is older than `retention.ms`.
    Time,
    /// Without it the log still has `retention.bytes`.
    Size,
    /// All of it is below the log start offset.
    LogStart,
}

impl Log {
    /// Deletes what retention no longer covers and forgets expired producers. Tells what it deleted.
    pub fn apply_retention(&mut self, now_ms: i64) -> Result<Vec<Deleted>, StorageError> {
        self.apply_retention_below(now_ms, self.log_end_offset)
    }

    /// The same, but keeps every segment that reaches above the high watermark.
    pub fn apply_retention_below(&mut self, now_ms: i64, high_watermark: i64) -> Result<Vec<Deleted>, StorageError> {
        self.check_open()?;
        self.producers.expire(now_ms, self.config.producer_expiration_ms);
        let mut remaining = self.size_bytes();
        let mut doomed = Vec::new();
        for segment in &self.segments {
            // An empty segment is the one that will be appended to next.
            let may_go = segment.size > 0 && segment.next_offset <= high_watermark;
            let reason = if may_go { self.deletion_reason(segment, remaining, now_ms) } else { None };
            let Some(reason) = reason else { break };
            remaining -= segment.size;
            doomed.push(reason);
        }
        self.delete_first_segments(&doomed)
    }

    /// Makes `offset` the first that may be read and deletes the segments below it. An offset at or below the log start
    /// changes nothing; one above the log end is refused. The new start is durable when this returns.
    pub fn delete_records_before(&mut self, offset: i64) -> Result<Vec<Deleted>, ReadError> {
        self.check_open()?;
        if offset > self.log_end_offset {
            return Err(ReadError::OutOfRange {
                offset,
                log_start_offset: self.log_start_offset,
                log_end_offset: self.log_end_offset,
            });
        }
        if offset <= self.log_start_offset {
            return Ok(Vec::new());
        }
        self.advance_log_start(offset)?;
        let doomed = self
            .segments
            .iter()
            .take_while(|segment| segment.size > 0 && segment.next_offset <= offset)
            .map(|_| DeletionReason::LogStart)
            .collect::<Vec<_>>();
        Ok(self.delete_first_segments(&doomed)?)
    }

    fn deletion_reason(&self, segment: &Segment, remaining: u64, now_ms: i64) -> Option<DeletionReason> {
        if segment.next_offset <= self.log_start_offset {
            return Some(DeletionReason::LogStart);
        }
        let config = &self.config;
        let is_surplus = u64::try_from(config.retention_bytes).is_ok_and(|limit| remaining - segment.size >= limit);
        if is_surplus {
            return Some(DeletionReason::Size);
        }
        let is_old =
            config.retention_ms >= 0 && now_ms.saturating_sub(newest_time(segment, now_ms)) > config.retention_ms;
        is_old.then_some(DeletionReason::Time)
    }

    /// Deletes as many segments as there are reasons, oldest first, so that a crash in between leaves a log without
    /// gaps.
    fn delete_first_segments(&mut self, reasons: &[DeletionReason]) -> Result<Vec<Deleted>, StorageError> {
        if reasons.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |source| StorageError::new("deleting a segment", source);
        if reasons.len() == self.segments.len() {
            self.begin_segment()?;
        }
        // The file that holds the place of the log end must be there before the others go.
        disk::sync_directory(&self.directory).map_err(failed)?;
        let new_start = self.segments[reasons.len()].base_offset.max(self.log_start_offset);
        self.log_start_offset = new_start;
        self.forget_before(new_start)?;

        let mut deleted = Vec::with_capacity(reasons.len());
        for (segment, reason) in self.segments.drain(..reasons.len()).zip(reasons) {
            // What fails here is still there after a restart, and retention comes to it again.
            segment.remove().map_err(failed)?;
            snapshot::remove(&self.directory, segment.base_offset).map_err(failed)?;
            deleted.push(Deleted {
                base_offset: segment.base_offset,
                end_offset: segment.next_offset,
                size_bytes: segment.size,
                reason: *reason,
            });
        }
        self.directory_changed = true;
        Ok(deleted)
    }

    fn advance_log_start(&mut self, offset: i64) -> Result<(), StorageError> {
        let before = self.log_start_offset;
        self.create_directory()?;
        self.log_start_offset = offset;
        if let Err(source) = self.save_checkpoint() {
            self.log_start_offset = before;
            return Err(StorageError::new("writing the checkpoint", source));
        }
        self.forget_before(offset)
    }

    fn forget_before(&mut self, offset: i64) -> Result<(), StorageError> {
        self.producers.truncate_start(offset);
        if self.epochs.truncate_start(offset) {
            self.epochs
                .save(&self.directory)
                .map_err(|source| StorageError::new("writing the leader epochs", source))?;
            self.epochs_changed = true;
        }
        Ok(())
    }
}

/// The time of the youngest record, or of the last write if no record has a time.
fn newest_time(segment: &Segment, now_ms: i64) -> i64 {
    if segment.max_timestamp >= 0 {
        return segment.max_timestamp;
    }
    let modified = std::fs::metadata(segment.log.path()).and_then(|metadata| metadata.modified());
    let since_epoch = modified.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since_epoch.map_or(now_ms, |duration| duration.as_millis() as i64)
}
