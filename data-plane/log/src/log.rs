//! The log of one partition: its segments, its offsets and its state. The operations are in the files named after them.

use std::{
    collections::VecDeque,
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    checkpoint::Checkpoint,
    config::LogConfig,
    disk,
    error::StorageError,
    leader_epochs::{EpochEnd, LeaderEpochs},
    producers::{ProducerTable, ProducerView},
    segment::Segment,
    segment_file::SegmentFile,
    snapshot,
};

/// How many closed segments of one log keep their file open after a read.
const MAX_OPEN_CLOSED_SEGMENTS: usize = 2;

/// One partition on disk. See `open`, `append`, `read`, `flush`, `close`.
#[derive(Debug)]
pub struct Log {
    pub(crate) directory: Arc<Path>,
    pub(crate) config: LogConfig,
    /// In the order of their offsets. The last takes appends. Empty until something is appended.
    pub(crate) segments: Vec<Segment>,
    pub(crate) log_start_offset: i64,
    pub(crate) log_end_offset: i64,
    /// Everything below is known to be on disk.
    pub(crate) recovery_point: i64,
    /// What the checkpoint file says.
    pub(crate) checkpoint: Checkpoint,
    pub(crate) epochs: LeaderEpochs,
    pub(crate) producers: ProducerTable,
    pub(crate) health: Health,
    /// Whether closing has anything to write.
    pub(crate) is_dirty: bool,
    /// Whether files were created or renamed since the directory was last synced.
    pub(crate) directory_changed: bool,
    /// Whether the directory itself was created and not made durable in the one above.
    pub(crate) directory_is_new: bool,
    pub(crate) epochs_changed: bool,
    /// Files (log and index) of closed segments that are open, oldest first.
    pub(crate) open_closed: Mutex<VecDeque<[Arc<SegmentFile>; 2]>>,
    /// Counts the times the end was cut, so that a flush that began before does not claim what came after.
    pub(crate) truncations: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Open,
    Closed,
    /// The disk failed in a way after which the files may not be what we think. Nothing is written any more.
    Poisoned,
}

impl Log {
    /// The first offset that may be read.
    pub fn log_start_offset(&self) -> i64 {
        self.log_start_offset
    }

    /// The offset the next record gets.
    pub fn log_end_offset(&self) -> i64 {
        self.log_end_offset
    }

    /// The end of what no open transaction can undo: the first offset of the oldest open transaction, else the log end.
    /// A reader of committed records sees what is below this and below the high watermark.
    pub fn last_stable_offset(&self) -> i64 {
        self.producers.first_unstable_offset().unwrap_or(self.log_end_offset)
    }

    /// Everything below survives the death of the machine.
    pub fn recovery_point(&self) -> i64 {
        self.recovery_point
    }

    /// The size of all log files.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Takes effect with the next append, roll or retention.
    pub fn update_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// The newest leader epoch that appended, or began.
    pub fn latest_leader_epoch(&self) -> Option<i32> {
        self.epochs.latest()
    }

    /// The epoch in which `offset` was appended.
    pub fn leader_epoch_at(&self, offset: i64) -> Option<i32> {
        self.epochs.epoch_at(offset)
    }

    /// Where a leader epoch ends; `None` if it is newer than all that are known here.
    pub fn epoch_end_offset(&self, epoch: i32) -> Option<EpochEnd> {
        self.epochs.end_of(epoch, self.log_end_offset)
    }

    /// Begins a leader epoch at the log end, so that its end can be asked for before anything is appended in it.
    pub fn begin_leader_epoch(&mut self, epoch: i32) -> Result<(), StorageError> {
        self.check_open()?;
        if self.epochs.latest() >= Some(epoch) {
            return Ok(());
        }
        self.create_directory()?;
        let mut epochs = self.epochs.clone();
        epochs.assign(epoch, self.log_end_offset);
        epochs.save(&self.directory).map_err(|source| StorageError::new("writing the leader epochs", source))?;
        self.epochs = epochs;
        self.epochs_changed = true;
        self.directory_changed = true;
        Ok(())
    }

    /// Idempotent and transactional producers that are remembered.
    pub fn producers(&self) -> Vec<ProducerView> {
        self.producers.views()
    }

    /// Gives back file descriptors; the next use opens them again. For logs that were idle for a while.
    pub fn release_files(&self) {
        self.segments.iter().for_each(Segment::release_files);
        self.open_closed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Closes the active segment and begins a new one at the log end. Does nothing if the active segment is empty.
    pub fn roll(&mut self) -> Result<(), StorageError> {
        self.check_open()?;
        if self.segments.last().is_none_or(|active| active.size > 0) {
            self.begin_segment()?;
        }
        Ok(())
    }

    /// Deletes the log and its directory. A crash in between leaves a directory that ends in `.deleted`, which is no log.
    pub fn destroy(mut self) -> Result<(), StorageError> {
        self.health = Health::Closed;
        let failed = |source| StorageError::new("deleting the log", source);
        let mut name = self.directory.file_name().unwrap_or_default().to_os_string();
        name.push(".deleted");
        let doomed = self.directory.with_file_name(name);
        match fs::rename(&self.directory, &doomed) {
            Ok(()) => fs::remove_dir_all(&doomed).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    pub(crate) fn check_open(&self) -> Result<(), StorageError> {
        match self.health {
            Health::Open => Ok(()),
            Health::Closed => Err(StorageError::Closed),
            Health::Poisoned => Err(StorageError::Poisoned),
        }
    }

    /// Makes the active segment and everything that goes with its beginning. A failure leaves the log as it was.
    pub(crate) fn begin_segment(&mut self) -> Result<(), StorageError> {
        let failed = |source| StorageError::new("beginning a segment", source);
        self.create_directory()?;
        if let Some(active) = self.segments.last_mut() {
            active.seal_index().map_err(failed)?;
        }
        // The first segment needs none: recovery begins at its start anyway.
        if !self.segments.is_empty() {
            snapshot::save(&self.directory, self.log_end_offset, &self.producers).map_err(failed)?;
        }
        let segment = Segment::create(&self.directory, self.log_end_offset).map_err(failed)?;
        self.directory_changed = true;
        self.is_dirty = true;
        if let Some(closed) = self.segments.last() {
            self.note_open_closed(closed);
        }
        self.segments.push(segment);
        Ok(())
    }

    /// Makes the directory if it is not there. It becomes durable with the next flush, the ones above at once.
    pub(crate) fn create_directory(&mut self) -> Result<(), StorageError> {
        if !self.segments.is_empty() {
            return Ok(());
        }
        let failed = |source| StorageError::new("creating the directory of the log", source);
        if let Some(parent) = self.directory.parent() {
            create_directories_durably(parent).map_err(failed)?;
        }
        match fs::create_dir(&self.directory) {
            Ok(()) => self.directory_is_new = true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(())
    }

    /// Bounds the descriptors of closed segments: the one that was opened longest ago is closed.
    pub(crate) fn note_open_closed(&self, segment: &Segment) {
        let mut open = self.open_closed.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() == MAX_OPEN_CLOSED_SEGMENTS
            && let Some(oldest) = open.pop_front()
        {
            oldest.iter().for_each(|file| file.release());
        }
        open.push_back([Arc::clone(&segment.log), Arc::clone(&segment.index.file)]);
    }

    /// The number of the segment that holds `offset`; offsets before the first count as the first.
    pub(crate) fn segment_index(&self, offset: i64) -> Option<usize> {
        let after = self.segments.partition_point(|segment| segment.base_offset <= offset);
        if self.segments.is_empty() { None } else { Some(after.saturating_sub(1)) }
    }

    /// Writes the checkpoint if it changed.
    pub(crate) fn save_checkpoint(&mut self) -> io::Result<()> {
        let checkpoint = Checkpoint { log_start_offset: self.log_start_offset, recovery_point: self.recovery_point };
        if checkpoint != self.checkpoint {
            checkpoint.save(&self.directory)?;
            self.checkpoint = checkpoint;
        }
        Ok(())
    }

    /// After this the log refuses everything: what is on disk may not be what was written.
    pub(crate) fn poison(&mut self, operation: &'static str, error: &io::Error) {
        tracing::error!(log.directory = %self.directory.display(), %error, "{operation} failed, the log goes offline");
        self.health = Health::Poisoned;
    }
}

fn create_directories_durably(directory: &Path) -> io::Result<()> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().unwrap_or(Path::new("/"));
    create_directories_durably(parent)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ if parent.as_os_str().is_empty() => Ok(()),
        _ => disk::sync_directory(parent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_log_takes_less_than_two_kibibytes_itself() {
        let per_log = size_of::<Log>() + size_of::<Segment>() + 3 * size_of::<SegmentFile>();
        assert!(per_log < 2048, "{per_log} bytes");
    }
}
