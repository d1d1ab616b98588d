//! Making appended batches survive the death of the machine, and closing the log.
//!
//! `flush` does it in one go. `begin_flush`, `FlushTask::run` and `finish_flush` are the same in three steps, so that
//! an owner with a lock need not hold it while the disk works. After a failed flush the kernel may have dropped the
//! data and marked it clean: trying again would lie, so the log goes offline instead.

use std::{fs::File, io, path::PathBuf, sync::Arc};

use crate::{
    Log, disk,
    error::{CloseError, StorageError},
    leader_epochs,
    log::Health,
    recovery,
    segment::Segment,
    snapshot,
};

/// What must reach the disk.
#[derive(Debug)]
pub struct FlushTask {
    files: Vec<Arc<File>>,
    epochs: Option<PathBuf>,
    /// In the order in which they must be synced: an entry, then what holds it.
    directories: Vec<PathBuf>,
    up_to: i64,
    truncations: u64,
}

impl FlushTask {
    /// Waits for the disk. Give the result to `Log::finish_flush`, whatever it is.
    pub fn run(&self) -> io::Result<()> {
        for file in &self.files {
            file.sync_data()?;
        }
        if let Some(epochs) = &self.epochs {
            File::open(epochs)?.sync_data()?;
        }
        self.directories.iter().try_for_each(|directory| disk::sync_directory(directory))
    }
}

impl Log {
    /// Returns when everything appended so far is on disk.
    pub fn flush(&mut self) -> Result<(), StorageError> {
        let Some(task) = self.begin_flush()? else { return Ok(()) };
        let result = task.run();
        self.finish_flush(&task, result)
    }

    /// What has to be done so that everything appended so far is on disk, or `None` if it is.
    pub fn begin_flush(&mut self) -> Result<Option<FlushTask>, StorageError> {
        self.begin_flush_to(self.log_end_offset)
    }

    /// The same for closed segments only. Done now and then, it bounds what a restart after a crash must check to the
    /// active segment, and costs little: the kernel has written most of it by itself.
    pub fn begin_flush_closed(&mut self) -> Result<Option<FlushTask>, StorageError> {
        match self.segments.last().map(|active| active.base_offset) {
            Some(active_base) if active_base > self.recovery_point => self.begin_flush_to(active_base),
            _ => Ok(None),
        }
    }

    fn begin_flush_to(&mut self, up_to: i64) -> Result<Option<FlushTask>, StorageError> {
        self.check_open()?;
        let is_flushed =
            self.recovery_point >= up_to && !self.directory_changed && !self.directory_is_new && !self.epochs_changed;
        if is_flushed {
            return Ok(None);
        }
        let mut files = Vec::new();
        let recovery_point = self.recovery_point;
        let unflushed = |segment: &&Segment| segment.next_offset > recovery_point && segment.base_offset < up_to;
        for segment in self.segments.iter().filter(unflushed) {
            let opening = |source| StorageError::new("opening a segment", source);
            files.push(segment.log.open().map_err(opening)?);
            files.extend(segment.aborted.open_file().map_err(opening)?);
        }
        let epochs = self.epochs_changed.then(|| self.directory.join(leader_epochs::FILE_NAME));
        let mut directories = Vec::new();
        if self.directory_changed || self.epochs_changed {
            directories.push(self.directory.to_path_buf());
        }
        if self.directory_is_new {
            directories.extend(self.directory.parent().map(PathBuf::from));
        }
        self.directory_changed = false;
        self.directory_is_new = false;
        self.epochs_changed = false;
        Ok(Some(FlushTask { files, epochs, directories, up_to, truncations: self.truncations }))
    }

    /// Takes note of what a flush achieved. An error takes the log offline.
    pub fn finish_flush(&mut self, task: &FlushTask, result: io::Result<()>) -> Result<(), StorageError> {
        const OPERATION: &str = "flushing the log";
        if let Err(source) = result {
            self.poison(OPERATION, &source);
            return Err(StorageError::new(OPERATION, source));
        }
        if task.truncations != self.truncations {
            return Ok(());
        }
        self.recovery_point = self.recovery_point.max(task.up_to);
        // The file is rewritten once per segment, not per flush: a restart then checks at most the active segment.
        let active_base = self.segments.last().map_or(0, |active| active.base_offset);
        if self.checkpoint.recovery_point < active_base && active_base <= self.recovery_point {
            self.save_checkpoint().map_err(|source| StorageError::new("writing the checkpoint", source))?;
        }
        Ok(())
    }

    /// Writes everything that makes the next opening quick, and refuses everything from now on except reads.
    pub fn close(&mut self) -> Result<(), CloseError> {
        match self.health {
            Health::Closed => return Ok(()),
            Health::Poisoned => return Err(StorageError::Poisoned.into()),
            Health::Open => {}
        }
        let result = self.write_closing_state();
        self.health = Health::Closed;
        self.release_files();
        Ok(result?)
    }

    fn write_closing_state(&mut self) -> Result<(), StorageError> {
        if !self.is_dirty {
            return self.flush();
        }
        let failed = |source| StorageError::new("closing the log", source);
        if let Some(active) = self.segments.last_mut() {
            active.seal_index().map_err(failed)?;
        }
        snapshot::save(&self.directory, self.log_end_offset, &self.producers).map_err(failed)?;
        self.remove_needless_snapshots().map_err(failed)?;
        self.directory_changed = true;
        self.flush()?;
        self.save_checkpoint().map_err(failed)
    }

    /// Keeps the snapshots that segments begin with and the newest; earlier closings left the others.
    fn remove_needless_snapshots(&self) -> io::Result<()> {
        recovery::remove_snapshots(&self.directory, |offset| {
            let begins_segment = self.segments.binary_search_by_key(&offset, |segment| segment.base_offset).is_ok();
            offset != self.log_end_offset && !begins_segment
        })
    }
}
