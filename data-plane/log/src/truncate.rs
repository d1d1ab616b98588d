//! Cutting the end off, as a follower does where its log differs from its leader's.

use crate::{
    Log,
    error::{OpenError, StorageError},
    producers::ProducerTable,
    read::locate,
    recovery,
    segment::Segment,
};

impl Log {
    /// Removes all batches that hold `offset` or more. The log may end a little below `offset`, if that is inside a
    /// batch. An offset at or above the log end changes nothing.
    pub fn truncate_to(&mut self, offset: i64, now_ms: i64) -> Result<(), StorageError> {
        self.check_open()?;
        if offset >= self.log_end_offset {
            return Ok(());
        }
        if offset <= self.log_start_offset {
            return self.truncate_fully_and_start_at(offset.max(0));
        }
        let new_end = self.batch_base(offset)?;
        if new_end < self.log_start_offset {
            // The log start is inside the batch that goes, so nothing readable is left.
            return self.truncate_fully_and_start_at(self.log_start_offset);
        }
        self.lower_recovery_point(new_end)?;
        let result = self.cut_end(offset, now_ms);
        if result.is_err() {
            // Files and memory may differ now; only reading everything again tells.
            self.health = crate::log::Health::Poisoned;
        }
        result
    }

    /// Removes everything; the next record gets `offset`.
    pub fn truncate_fully_and_start_at(&mut self, offset: i64) -> Result<(), StorageError> {
        self.check_open()?;
        let failed = |source| StorageError::new("truncating the log", source);
        self.create_directory()?;
        self.lower_recovery_point(0)?;
        // From the end, so that a crash in between leaves a log without gaps.
        while let Some(segment) = self.segments.pop() {
            segment.remove().map_err(failed)?;
        }
        recovery::remove_snapshots(&self.directory, |_| true).map_err(failed)?;
        self.log_start_offset = offset;
        self.log_end_offset = offset;
        self.recovery_point = offset;
        self.producers = ProducerTable::default();
        if self.epochs.truncate_end(0) {
            self.epochs.save(&self.directory).map_err(failed)?;
        }
        self.save_checkpoint().map_err(failed)
    }

    /// The base offset of the batch that holds `offset`.
    fn batch_base(&self, offset: i64) -> Result<i64, StorageError> {
        let Some(number) = self.segment_index(offset) else { return Ok(offset) };
        let file = self.open_for_reading(number)?;
        let located = locate(&self.segments[number], &file, offset).map_err(|_| StorageError::Poisoned)?;
        Ok(located.map_or(offset, |batch| batch.base_offset))
    }

    /// The checkpoint must not claim what is about to go.
    fn lower_recovery_point(&mut self, offset: i64) -> Result<(), StorageError> {
        self.truncations += 1;
        self.is_dirty = true;
        self.recovery_point = self.recovery_point.min(offset);
        if self.checkpoint.recovery_point > offset {
            self.save_checkpoint().map_err(|source| StorageError::new("writing the checkpoint", source))?;
        }
        Ok(())
    }

    fn cut_end(&mut self, offset: i64, now_ms: i64) -> Result<(), StorageError> {
        let failed = |source| StorageError::new("truncating the log", source);
        while self.segments.len() > 1 && self.segments.last().is_some_and(|last| last.base_offset >= offset) {
            if let Some(segment) = self.segments.pop() {
                segment.remove().map_err(failed)?;
            }
        }
        if let Some(active) = self.segments.last_mut() {
            cut_segment(active, offset)?;
            self.log_end_offset = active.next_offset;
        }
        let log_end_offset = self.log_end_offset;
        recovery::remove_snapshots(&self.directory, |snapshot| snapshot > log_end_offset).map_err(failed)?;
        if self.epochs.truncate_end(log_end_offset) {
            self.epochs.save(&self.directory).map_err(failed)?;
            self.epochs_changed = true;
        }
        self.producers = recovery::rebuild_producers(self, now_ms).map_err(|error| match error {
            OpenError::Io { source, .. } => failed(source),
            _ => StorageError::Poisoned,
        })?;
        Ok(())
    }
}

fn cut_segment(segment: &mut Segment, offset: i64) -> Result<(), StorageError> {
    let failed = |source| StorageError::new("truncating a segment", source);
    let file = segment.log.open().map_err(failed)?;
    let located = locate(segment, &file, offset).map_err(|_| StorageError::Poisoned)?;
    let Some(first_removed) = located else { return Ok(()) };
    segment.index.truncate(first_removed.position).map_err(failed)?;
    file.set_len(first_removed.position).map_err(failed)?;
    segment.aborted.truncate(first_removed.base_offset).map_err(failed)?;
    segment.size = first_removed.position;
    segment.next_offset = first_removed.base_offset;
    segment.newest = None;
    segment.max_timestamp = recovery::max_timestamp(segment, &file).map_err(failed)?;
    if segment.size == 0 {
        segment.first_timestamp = None;
    }
    Ok(())
}
