//! Opening a log: find out what of the files is valid, and rebuild what is derived from it.
//!
//! Below the recovery point everything was flushed: it is believed if the index of its segment is complete. Above it
//! every batch is checked (offset follows the one before, leader epoch does not fall, checksum fits), and the log ends
//! before the first that fails; whatever follows was never acknowledged as flushed and is cut off. A log that was
//! closed properly has its recovery point at its end, so opening it reads no batch.
//!
//! If something *below* the recovery point is missing or damaged, no crash can have done it. Then opening is refused,
//! because cutting there would drop records that were safe; `OpenMode::Repair` does it on request.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use millstream_protocol::record_batch::{Batch, BatchHeader, ControlMarker, NO_TIMESTAMP};
use tracing::warn;

use crate::{
    Log, LogConfig,
    aborted::AbortedIndex,
    checkpoint::{self, Checkpoint, Loaded},
    disk,
    error::OpenError,
    index::{Index, IndexEntry},
    leader_epochs::LeaderEpochs,
    log::Health,
    producers::ProducerTable,
    scanner::{BatchScanner, Found, HEADER_BUFFER_BYTES, LARGE_BUFFER_BYTES},
    segment::Segment,
    segment_file::{FileKind, offset_in_name},
    snapshot,
};

/// What is known about how the log was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It was closed. Found otherwise, it is treated as `Unclean`.
    Clean,
    /// Its process died. Batches above the recovery point are checked.
    Unclean,
    /// It is damaged. Every batch is checked and the log is cut at the first bad one, even below the recovery point.
    Repair,
}

/// What opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Bytes of log that were checked.
    pub scanned_bytes: u64,
    /// Bytes of log that were cut off because they did not hold valid batches.
    pub truncated_bytes: u64,
    /// Whether the checkpoint was there but unreadable: records that were deleted may be back.
    pub checkpoint_lost: bool,
}

impl Log {
    /// Opens the log in `directory`, or an empty one if there is no such directory; nothing is created before the first
    /// append.
    pub fn open(
        directory: &Path,
        config: LogConfig,
        mode: OpenMode,
        now_ms: i64,
    ) -> Result<(Self, Recovery), OpenError> {
        let mut opening = Opening::begin(directory, config, mode)?;
        opening.load_segments()?;
        opening.finish(now_ms)
    }
}

struct Opening {
    mode: OpenMode,
    log: Log,
    recovery: Recovery,
    /// `None` if the file is missing or damaged.
    known_epochs: Option<LeaderEpochs>,
    /// The offset from which batches were checked; what is derived from them is rebuilt.
    scanned_from: Option<i64>,
}

impl Opening {
    fn begin(directory: &Path, config: LogConfig, mode: OpenMode) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: directory.to_path_buf(), source };
        let mut recovery = Recovery::default();
        let checkpoint = match Checkpoint::load(directory).map_err(failed)? {
            Loaded::Found(checkpoint) => checkpoint,
            Loaded::Newer(found) => {
                let path = directory.join(checkpoint::FILE_NAME);
                return Err(OpenError::NewerFormat { path, found, known: checkpoint::FORMAT_VERSION });
            }
            Loaded::Missing => Checkpoint { log_start_offset: 0, recovery_point: 0 },
            Loaded::Damaged => {
                recovery.checkpoint_lost = true;
                warn!(log.directory = %directory.display(), "the checkpoint is damaged, the whole log is checked");
                Checkpoint { log_start_offset: 0, recovery_point: 0 }
            }
        };
        let known_epochs = LeaderEpochs::load(directory).map_err(failed)?;
        let recovery_point = if mode == OpenMode::Repair { 0 } else { checkpoint.recovery_point };
        let log = Log {
            directory: Arc::from(directory),
            config,
            segments: Vec::new(),
            log_start_offset: checkpoint.log_start_offset,
            log_end_offset: checkpoint.log_start_offset,
            recovery_point,
            checkpoint,
            epochs: LeaderEpochs::default(),
            producers: ProducerTable::default(),
            health: Health::Open,
            is_dirty: false,
            directory_changed: false,
            directory_is_new: false,
            epochs_changed: false,
            open_closed: Mutex::default(),
            truncations: 0,
        };
        Ok(Self { mode, log, recovery, known_epochs, scanned_from: None })
    }

    fn load_segments(&mut self) -> Result<(), OpenError> {
        let mut bases = list_offsets(&self.log.directory, FileKind::Log.suffix()).map_err(|source| self.io(source))?;
        bases.sort_unstable();
        remove_temporary_files(&self.log.directory).map_err(|source| self.io(source))?;
        let mut expected = None;
        for (number, base) in bases.iter().copied().enumerate() {
            let next_base = bases.get(number + 1).copied();
            if next_base.is_some_and(|next| next <= self.log.log_start_offset) {
                // An interrupted deletion is finished.
                Segment::empty(&self.log.directory, base).remove().map_err(|source| self.io(source))?;
                continue;
            }
            let segment = Segment::empty(&self.log.directory, base);
            let size = segment.log.size_on_disk().map_err(|source| self.io(source))?;
            let follows = expected.is_none_or(|expected| expected == base);
            let is_leftover = size == 0 && expected.is_some_and(|expected| base < expected);
            if is_leftover {
                segment.remove().map_err(|source| self.io(source))?;
                continue;
            }
            let is_valid = follows && self.load_segment(segment, size, next_base)?;
            if !is_valid {
                let end = self.log.segments.last().map_or(base, |last| last.next_offset);
                return self.cut_after(end, &bases);
            }
            expected = self.log.segments.last().map(|last| last.next_offset);
        }
        Ok(())
    }

    /// Loads one segment, checking it where it is not trusted. `false` if it ends before its file does; then only its
    /// valid part was loaded.
    fn load_segment(&mut self, mut segment: Segment, size: u64, next_base: Option<i64>) -> Result<bool, OpenError> {
        let failed = |source| OpenError::Io { path: segment.log.path(), source };
        segment.index = Index::open(&self.log.directory, segment.base_offset).map_err(failed)?;
        segment.aborted = AbortedIndex::open(&self.log.directory, segment.base_offset).map_err(failed)?;
        let last = segment.index.last();
        let end_offset = segment.base_offset + i64::from(last.relative_offset);
        let is_complete = u64::from(last.position) == size && next_base.is_none_or(|next| next == end_offset);
        let is_trusted = self.mode != OpenMode::Repair && is_complete && end_offset <= self.log.recovery_point;
        if is_trusted {
            segment.size = size;
            segment.next_offset = end_offset;
            segment.max_timestamp = last.max_timestamp_before;
            self.log.segments.push(segment);
            return Ok(true);
        }

        let mut from = match self.mode {
            OpenMode::Repair => IndexEntry::START,
            _ => segment.index.before_offset(segment.relative(self.log.recovery_point)),
        };
        if u64::from(from.position) > size {
            from = IndexEntry::START;
        }
        let mut is_valid = self.scan(&mut segment, from, size).map_err(|source| self.io(source))?;
        let found_nothing = segment.size == u64::from(from.position);
        if !is_valid && found_nothing && from != IndexEntry::START {
            // Perhaps it is the index that is wrong.
            from = IndexEntry::START;
            is_valid = self.scan(&mut segment, from, size).map_err(|source| self.io(source))?;
        }
        let scanned_from = segment.base_offset + i64::from(from.relative_offset);
        self.scanned_from = Some(self.scanned_from.map_or(scanned_from, |earlier| earlier.min(scanned_from)));
        self.recovery.scanned_bytes += segment.size - u64::from(from.position);
        self.log.segments.push(segment);
        Ok(is_valid)
    }

    /// Checks batches from an index entry to the end of the file and rebuilds the index. Returns whether all of it is
    /// valid; the segment is left ending after the last valid batch.
    fn scan(&self, segment: &mut Segment, from: IndexEntry, size: u64) -> io::Result<bool> {
        segment.index.truncate(u64::from(from.position))?;
        segment.size = u64::from(from.position);
        segment.next_offset = segment.base_offset + i64::from(from.relative_offset);
        segment.max_timestamp = from.max_timestamp_before;
        let file = segment.log.open()?;
        let mut buffer = vec![0; LARGE_BUFFER_BYTES];
        let mut scanner = BatchScanner::new(&file, segment.size, size, &mut buffer);
        let mut previous_epoch = -1;
        loop {
            let header = match scanner.header()? {
                Found::Batch(header) => header,
                Found::End => return Ok(true),
                Found::Damaged(_) => return Ok(false),
            };
            let follows = header.base_offset == segment.next_offset
                && header.partition_leader_epoch >= previous_epoch
                && self.is_epoch_possible(&header);
            if !follows || !scanner.checksum_matches(&header)? {
                return Ok(false);
            }
            let since_last_entry = segment.size - u64::from(segment.index.last().position);
            if since_last_entry >= self.log.config.index_interval_bytes as u64 {
                segment.index.make_room()?;
                segment.index.push(segment.end_entry());
            }
            previous_epoch = header.partition_leader_epoch;
            segment.note_appended(&header, 0);
            scanner.skip(&header);
        }
    }

    /// The checksum does not cover the leader epoch; the epoch file says what it must be, unless it is newer than the
    /// file: then the file may not have reached the disk.
    fn is_epoch_possible(&self, header: &BatchHeader) -> bool {
        let Some(epochs) = &self.known_epochs else { return true };
        let (Some(known), Some(latest)) = (epochs.epoch_at(header.base_offset), epochs.latest()) else { return true };
        header.partition_leader_epoch == known || header.partition_leader_epoch > latest
    }

    /// Ends the log after the segments that were loaded, and deletes all files above.
    fn cut_after(&mut self, end: i64, bases: &[i64]) -> Result<(), OpenError> {
        self.check_nothing_flushed_is_lost(end)?;
        let last_kept = self.log.segments.last().map(|last| last.base_offset);
        for base in bases.iter().rev().copied().filter(|base| last_kept.is_none_or(|kept| *base > kept)) {
            let segment = Segment::empty(&self.log.directory, base);
            self.recovery.truncated_bytes += segment.log.size_on_disk().map_err(|source| self.io(source))?;
            segment.remove().map_err(|source| self.io(source))?;
        }
        if let Some(last) = self.log.segments.last() {
            let size = last.log.size_on_disk().map_err(|source| self.io(source))?;
            if size > last.size {
                self.recovery.truncated_bytes += size - last.size;
                last.log.open().and_then(|file| file.set_len(last.size)).map_err(|source| self.io(source))?;
            }
        }
        warn!(log.directory = %self.log.directory.display(), log.end_offset = end, bytes = self.recovery.truncated_bytes,
            "cut off what did not hold valid batches");
        Ok(())
    }

    fn finish(mut self, now_ms: i64) -> Result<(Log, Recovery), OpenError> {
        self.settle_offsets()?;
        self.log.is_dirty = self.scanned_from.is_some();
        let scanned_from = self.scanned_from.unwrap_or(self.log.log_end_offset);
        let log_end_offset = self.log.log_end_offset;
        remove_snapshots(&self.log.directory, |offset| offset > scanned_from.min(log_end_offset))
            .map_err(|source| self.io(source))?;
        for segment in self.log.segments.iter_mut().filter(|segment| segment.next_offset >= scanned_from) {
            let path = segment.log.path();
            segment.aborted.truncate(scanned_from).map_err(|source| OpenError::Io { path, source })?;
        }
        self.restore_epochs(scanned_from)?;
        let mut replay = Replay { rebuild_from: scanned_from, now_ms };
        self.log.producers = replay.run(&mut self.log)?;
        self.log.producers.expire(now_ms, self.log.config.producer_expiration_ms);
        self.log.producers.truncate_start(self.log.log_start_offset);
        if let Some(active) = self.log.segments.last_mut() {
            let path = active.log.path();
            active.first_timestamp =
                first_timestamp(active, now_ms).map_err(|source| OpenError::Io { path, source })?;
        }
        let must_lower = self.log.checkpoint.recovery_point > self.log.log_end_offset;
        if must_lower {
            self.log.save_checkpoint().map_err(|source| self.io(source))?;
        }
        self.log.release_files();
        Ok((self.log, self.recovery))
    }

    fn check_nothing_flushed_is_lost(&self, end_offset: i64) -> Result<(), OpenError> {
        if end_offset >= self.log.recovery_point || self.mode == OpenMode::Repair {
            return Ok(());
        }
        let path = self.log.directory.to_path_buf();
        Err(OpenError::Damaged { path, end_offset, recovery_point: self.log.recovery_point })
    }

    fn settle_offsets(&mut self) -> Result<(), OpenError> {
        let end_offset = self.log.segments.last().map_or(self.log.log_start_offset, |last| last.next_offset);
        self.check_nothing_flushed_is_lost(end_offset)?;
        let log = &mut self.log;
        if let (Some(first), Some(last)) = (log.segments.first(), log.segments.last()) {
            log.log_start_offset = log.log_start_offset.max(first.base_offset);
            log.log_end_offset = last.next_offset;
        }
        if log.log_end_offset < log.log_start_offset {
            // Records were deleted, which is durable, and then more was lost than they reached: nothing is left.
            for segment in log.segments.drain(..).rev() {
                self.recovery.truncated_bytes += segment.size;
                let path = segment.log.path();
                segment.remove().map_err(|source| OpenError::Io { path, source })?;
            }
            log.log_end_offset = log.log_start_offset;
        }
        log.recovery_point = log.recovery_point.min(log.log_end_offset);
        Ok(())
    }

    fn restore_epochs(&mut self, scanned_from: i64) -> Result<(), OpenError> {
        let known = self.known_epochs.take();
        let (mut epochs, from) = match &known {
            Some(known) => (known.clone(), scanned_from),
            None => (LeaderEpochs::default(), self.log.log_start_offset),
        };
        walk(&self.log.segments, from, |_, header, _| {
            epochs.assign(header.partition_leader_epoch, header.base_offset);
            Ok(())
        })
        .map_err(|source| self.io(source))?;
        epochs.truncate_end(self.log.log_end_offset);
        epochs.truncate_start(self.log.log_start_offset);
        if known.as_ref() != Some(&epochs) && !(known.is_none() && epochs.is_empty()) {
            epochs.save(&self.log.directory).map_err(|source| self.io(source))?;
            self.log.epochs_changed = true;
        }
        self.log.epochs = epochs;
        Ok(())
    }

    fn io(&self, source: io::Error) -> OpenError {
        OpenError::Io { path: self.log.directory.to_path_buf(), source }
    }
}

/// The producers as of the log end, from the newest sound snapshot and the batches after it.
pub(crate) fn rebuild_producers(log: &mut Log, now_ms: i64) -> Result<ProducerTable, OpenError> {
    Replay { rebuild_from: i64::MAX, now_ms }.run(log)
}

/// Applies the batches after a snapshot to the producers in it.
struct Replay {
    /// From this offset on transaction indexes and snapshots are written again too.
    rebuild_from: i64,
    now_ms: i64,
}

impl Replay {
    fn run(&mut self, log: &mut Log) -> Result<ProducerTable, OpenError> {
        let path = log.directory.to_path_buf();
        let failed = |source| OpenError::Io { path: path.clone(), source };
        let directory = Arc::clone(&log.directory);
        let (from, mut producers) = newest_snapshot(&directory, log.log_end_offset).map_err(failed)?;
        let mut aborted = Vec::new();
        let mut snapshot_at = from;
        walk(&log.segments, from, |segment, header, scanner| {
            let begins_segment = header.base_offset == segment.base_offset && header.base_offset > snapshot_at;
            if begins_segment && header.base_offset >= self.rebuild_from {
                snapshot::save(&directory, header.base_offset, &producers)?;
                snapshot_at = header.base_offset;
            }
            if header.is_control() {
                let bytes = scanner.read_batch(header)?;
                let marker = ControlMarker::read(&Batch { header: *header, bytes: &bytes });
                let transaction = marker.and_then(|marker| producers.record_marker(header, &marker, self.now_ms));
                if let Some(transaction) = transaction.filter(|found| found.last_offset >= self.rebuild_from) {
                    aborted.push(transaction);
                }
            } else if header.has_producer() {
                producers.record(header, self.now_ms);
            }
            Ok(())
        })
        .map_err(failed)?;
        for transaction in aborted {
            if let Some(number) = log.segment_index(transaction.last_offset) {
                log.segments[number].aborted.append(&transaction).map_err(failed)?;
            }
        }
        Ok(producers)
    }
}

/// The offset and content of the newest sound snapshot at or below `offset`; unsound ones are deleted.
fn newest_snapshot(directory: &Path, offset: i64) -> io::Result<(i64, ProducerTable)> {
    let mut offsets = list_offsets(directory, snapshot::SUFFIX)?;
    offsets.retain(|found| *found <= offset);
    offsets.sort_unstable();
    for found in offsets.into_iter().rev() {
        match snapshot::load(directory, found)? {
            Some(producers) => return Ok((found, producers)),
            None => snapshot::remove(directory, found)?,
        }
    }
    Ok((0, ProducerTable::default()))
}

/// Calls `visit` for every batch that begins at or above `from`. Batches are believed: they were checked or flushed.
fn walk(
    segments: &[Segment],
    from: i64,
    mut visit: impl FnMut(&Segment, &BatchHeader, &mut BatchScanner<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    for segment in segments.iter().filter(|segment| segment.next_offset > from && segment.size > 0) {
        buffer.resize(HEADER_BUFFER_BYTES, 0);
        let file = segment.log.open()?;
        let entry = segment.index.before_offset(segment.relative(from));
        let mut scanner = BatchScanner::new(&file, u64::from(entry.position), segment.size, &mut buffer);
        loop {
            let header = match scanner.header()? {
                Found::Batch(header) => header,
                Found::End => break,
                Found::Damaged(reason) => return Err(io::Error::new(io::ErrorKind::InvalidData, reason)),
            };
            if header.base_offset >= from {
                visit(segment, &header, &mut scanner)?;
            }
            scanner.skip(&header);
        }
        segment.release_files();
    }
    Ok(())
}

/// The largest timestamp in a segment, from its last index entry and the batches after it.
pub(crate) fn max_timestamp(segment: &Segment, file: &File) -> io::Result<i64> {
    let entry = segment.index.last();
    let mut largest = entry.max_timestamp_before;
    let mut buffer = vec![0; HEADER_BUFFER_BYTES];
    let mut scanner = BatchScanner::new(file, u64::from(entry.position), segment.size, &mut buffer);
    while let Found::Batch(header) = scanner.header()? {
        largest = largest.max(header.max_timestamp);
        scanner.skip(&header);
    }
    Ok(largest.max(NO_TIMESTAMP))
}

fn first_timestamp(segment: &Segment, now_ms: i64) -> io::Result<Option<i64>> {
    if segment.size == 0 {
        return Ok(None);
    }
    let file = segment.log.open()?;
    let mut buffer = [0; 64];
    let mut scanner = BatchScanner::new(&file, 0, segment.size, &mut buffer);
    match scanner.header()? {
        Found::Batch(header) if header.max_timestamp >= 0 => Ok(Some(header.max_timestamp)),
        _ => Ok(Some(now_ms)),
    }
}

/// Deletes snapshots whose offset is chosen.
pub(crate) fn remove_snapshots(directory: &Path, is_chosen: impl Fn(i64) -> bool) -> io::Result<()> {
    for offset in list_offsets(directory, snapshot::SUFFIX)?.into_iter().filter(|offset| is_chosen(*offset)) {
        snapshot::remove(directory, offset)?;
    }
    Ok(())
}

/// The offsets in the names of all files with this suffix. A directory that is missing has none.
fn list_offsets(directory: &Path, suffix: &str) -> io::Result<Vec<i64>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut offsets = Vec::new();
    for entry in entries {
        offsets.extend(entry?.file_name().to_str().and_then(|name| offset_in_name(name, suffix)));
    }
    Ok(offsets)
}

fn remove_temporary_files(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(disk::TEMPORARY_SUFFIX) {
            disk::remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}
