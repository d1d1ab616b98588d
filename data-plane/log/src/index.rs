//! The index of one segment: where batches start, by offset and by time.
//!
//! ```text
//! relative base offset 4 │ position 4 │ largest timestamp of all batches before it 8 │ CRC-32C of these 4
//! ```
//!
//! Sparse (one entry per `index_interval_bytes` of log), and every column rises from entry to entry, so one file
//! answers both questions by binary search. When a segment is closed a last entry is added for the batch that would
//! come next: it holds the segment's end offset, size and largest timestamp, so a sound index is known to be complete
//! without reading the log.
//!
//! The newest entries are in memory and written in bulk. An index is a hint: it is rebuilt from the segment if it is
//! missing, behind or damaged, and what it says is checked against the log before it is believed.

use std::{io, os::unix::fs::FileExt, path::Path, sync::Arc};

use tracing::warn;

use crate::segment_file::{FileKind, SegmentFile};

pub(crate) const ENTRY_BYTES: usize = 20;
/// How many entries wait in memory before they are written: 10 KiB, or 2 MiB of log between writes.
const MAX_UNWRITTEN_ENTRIES: usize = 512;
/// How many entries a lookup reads at once when it has come so near.
const BLOCK_ENTRIES: usize = 200;
/// How many entries are read at a time when an index is checked from its start.
const CHECK_ENTRIES: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub relative_offset: u32,
    pub position: u32,
    pub max_timestamp_before: i64,
}

impl IndexEntry {
    /// What holds for the start of every segment without being written.
    pub(crate) const START: Self = Self { relative_offset: 0, position: 0, max_timestamp_before: -1 };

    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0..4].copy_from_slice(&self.relative_offset.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.position.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.max_timestamp_before.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..16]);
        bytes[16..20].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let (fields, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(fields) != u32::from_be_bytes(*crc) {
            return None;
        }
        Some(Self {
            relative_offset: u32::from_be_bytes(*fields.first_chunk()?),
            position: u32::from_be_bytes(*fields[4..].first_chunk()?),
            max_timestamp_before: i64::from_be_bytes(*fields[8..].first_chunk()?),
        })
    }

    fn may_follow(&self, previous: &Self) -> bool {
        self.relative_offset > previous.relative_offset
            && self.position > previous.position
            && self.max_timestamp_before >= previous.max_timestamp_before
    }
}

#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) file: Arc<SegmentFile>,
    /// Entries in the file.
    written: usize,
    /// Entries after those, not written yet.
    unwritten: Vec<IndexEntry>,
    last: IndexEntry,
}

impl Index {
    /// An index without entries; no file is made before there is something to write.
    pub(crate) fn empty(directory: &Arc<Path>, base_offset: i64) -> Self {
        Self {
            file: Arc::new(SegmentFile::new(directory, base_offset, FileKind::Index)),
            written: 0,
            unwritten: Vec::new(),
            last: IndexEntry::START,
        }
    }

    /// Opens what is on disk and believes it as far as its last entry is sound. A torn or damaged end reads as an
    /// index that is behind.
    pub(crate) fn open(directory: &Arc<Path>, base_offset: i64) -> io::Result<Self> {
        let mut index = Self::empty(directory, base_offset);
        let size = index.file.size_on_disk()?;
        index.written = size as usize / ENTRY_BYTES;
        if index.written == 0 {
            return Ok(index);
        }
        let last = index.written - 1;
        match index.file.open_once()?.and_then(|file| read_entry(&file, last)) {
            Some(entry) => index.last = entry,
            None => index.keep_sound_prefix(u64::MAX)?,
        }
        Ok(index)
    }

    /// The last entry: for a closed segment its end.
    pub(crate) fn last(&self) -> IndexEntry {
        self.last
    }

    pub(crate) fn entries(&self) -> usize {
        self.written + self.unwritten.len()
    }

    /// Whether there is room for an entry of the next batch and the closing one.
    pub(crate) fn is_full(&self, max_bytes: usize) -> bool {
        (self.entries() + 2) * ENTRY_BYTES > max_bytes
    }

    /// Writes waiting entries if the memory for them is used up. Called before a batch is written, so that a full
    /// disk is noticed while nothing has happened yet.
    pub(crate) fn make_room(&mut self) -> io::Result<()> {
        if self.unwritten.len() < MAX_UNWRITTEN_ENTRIES { Ok(()) } else { self.write() }
    }

    /// Adds an entry. One that does not rise above the last is left out.
    pub(crate) fn push(&mut self, entry: IndexEntry) {
        if entry.may_follow(&self.last) {
            self.unwritten.push(entry);
            self.last = entry;
        }
    }

    /// Writes all entries to the file.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = self.unwritten.iter().flat_map(IndexEntry::encode).collect();
        self.file.open_or_create()?.write_all_at(&bytes, (self.written * ENTRY_BYTES) as u64)?;
        self.written += self.unwritten.len();
        self.unwritten = Vec::new();
        Ok(())
    }

    /// Forgets everything above `position`; an entry exactly there still tells where the next batch goes.
    pub(crate) fn truncate(&mut self, position: u64) -> io::Result<()> {
        self.unwritten.retain(|entry| u64::from(entry.position) <= position);
        self.last = match self.unwritten.last() {
            Some(last) => *last,
            None => {
                self.keep_sound_prefix(position)?;
                return Ok(());
            }
        };
        Ok(())
    }

    /// The last entry at or before a relative offset.
    pub(crate) fn before_offset(&self, relative_offset: u32) -> IndexEntry {
        self.last_where(|entry| entry.relative_offset <= relative_offset)
    }

    /// The last entry before which all batches are older than `timestamp`.
    pub(crate) fn before_timestamp(&self, timestamp: i64) -> IndexEntry {
        self.last_where(|entry| entry.max_timestamp_before < timestamp)
    }

    /// The last entry at or before a position.
    pub(crate) fn before_position(&self, position: u64) -> IndexEntry {
        self.last_where(|entry| u64::from(entry.position) <= position)
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        self.file.remove()
    }

    /// The last entry for which `holds` is true. It must be true for a first part of the entries and false after it.
    fn last_where(&self, holds: impl Fn(&IndexEntry) -> bool) -> IndexEntry {
        let in_memory = self.unwritten.partition_point(&holds);
        if in_memory > 0 {
            return self.unwritten[in_memory - 1];
        }
        if self.unwritten.is_empty() && holds(&self.last) {
            return self.last;
        }
        match self.last_written_where(holds) {
            Ok(entry) => entry,
            Err(error) => {
                warn!(index.path = %self.file.path().display(), %error, "an index cannot be read, the segment is searched from its start");
                IndexEntry::START
            }
        }
    }

    fn last_written_where(&self, holds: impl Fn(&IndexEntry) -> bool) -> io::Result<IndexEntry> {
        if self.written == 0 {
            return Ok(IndexEntry::START);
        }
        let file = self.file.open()?;
        let (mut low, mut high) = (0, self.written);
        let mut found = IndexEntry::START;
        // The last steps are taken in memory: one read of a few kilobytes costs little more than one of an entry.
        while high - low > BLOCK_ENTRIES {
            let middle = low + (high - low) / 2;
            let entry = read_entry(&file, middle).ok_or(io::ErrorKind::InvalidData)?;
            if holds(&entry) {
                found = entry;
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut block = [[0; ENTRY_BYTES]; BLOCK_ENTRIES];
        let block = &mut block[..high - low];
        file.read_exact_at(block.as_flattened_mut(), (low * ENTRY_BYTES) as u64)?;
        let (mut low, mut high) = (0, block.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = IndexEntry::decode(&block[middle]).ok_or(io::ErrorKind::InvalidData)?;
            if holds(&entry) {
                found = entry;
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(found)
    }

    /// Checks all written entries from the first, and cuts the file after the last that is sound and not above
    /// `max_position`. Entries in memory must be gone already.
    fn keep_sound_prefix(&mut self, max_position: u64) -> io::Result<()> {
        self.last = IndexEntry::START;
        self.written = 0;
        let Some(file) = self.file.open_once()? else { return Ok(()) };
        let mut chunk = vec![0; CHECK_ENTRIES * ENTRY_BYTES];
        'chunks: loop {
            let read = read_fully(&file, &mut chunk, (self.written * ENTRY_BYTES) as u64)?;
            for bytes in chunk[..read].as_chunks::<ENTRY_BYTES>().0 {
                match IndexEntry::decode(bytes) {
                    Some(entry) if entry.may_follow(&self.last) && u64::from(entry.position) <= max_position => {
                        self.last = entry;
                        self.written += 1;
                    }
                    _ => break 'chunks,
                }
            }
            if read < chunk.len() {
                break;
            }
        }
        file.set_len((self.written * ENTRY_BYTES) as u64)
    }
}

fn read_entry(file: &std::fs::File, number: usize) -> Option<IndexEntry> {
    let mut bytes = [0; ENTRY_BYTES];
    file.read_exact_at(&mut bytes, (number * ENTRY_BYTES) as u64).ok()?;
    IndexEntry::decode(&bytes)
}

fn read_fully(file: &std::fs::File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(directory: &Arc<Path>, entries: u32) -> Index {
        let mut index = Index::empty(directory, 0);
        for number in 1..=entries {
            index.make_room().unwrap();
            index.push(entry(number));
        }
        index
    }

    fn entry(number: u32) -> IndexEntry {
        IndexEntry { relative_offset: number * 10, position: number * 100, max_timestamp_before: i64::from(number / 2) }
    }

    fn check_lookups(index: &Index, entries: u32) {
        for number in 0..=entries {
            let expected = if number == 0 { IndexEntry::START } else { entry(number) };
            assert_eq!(index.before_offset(number * 10), expected);
            assert_eq!(index.before_offset(number * 10 + 9), expected);
            assert_eq!(index.before_position(u64::from(number) * 100 + 99), expected);
        }
        assert_eq!(index.before_timestamp(1), entry(1));
        assert_eq!(index.before_timestamp(i64::MAX), entry(entries));
    }

    #[test]
    fn entries_are_found_in_memory_in_the_file_and_in_both() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().into();
        for entries in [3, 512, 513, 1500] {
            let mut index = filled(&path, entries);
            check_lookups(&index, entries);
            index.write().unwrap();
            check_lookups(&index, entries);
            let reopened = Index::open(&path, 0).unwrap();
            assert_eq!((reopened.last(), reopened.entries()), (entry(entries), entries as usize));
            check_lookups(&reopened, entries);
            index.remove().unwrap();
        }
    }

    #[test]
    fn truncation_keeps_what_is_at_or_below_the_position() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().into();
        for written in [false, true] {
            for keep in [0_u32, 1, 7, 20] {
                let mut index = filled(&path, 20);
                if written {
                    index.write().unwrap();
                }
                index.truncate(u64::from(keep) * 100).unwrap();
                assert_eq!(index.entries(), keep as usize);
                index.push(entry(21));
                assert_eq!(index.last(), entry(21));
                index.remove().unwrap();
            }
        }
    }

    #[test]
    fn a_cut_or_damaged_index_file_reads_as_its_sound_part() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().into();
        filled(&path, 10).write().unwrap();
        let file = path.join("00000000000000000000.index");
        let sound = std::fs::read(&file).unwrap();
        for cut in 0..sound.len() {
            std::fs::write(&file, &sound[..cut]).unwrap();
            assert_eq!(Index::open(&path, 0).unwrap().entries(), cut / ENTRY_BYTES);
        }
        for position in sound.len() - ENTRY_BYTES..sound.len() {
            let mut damaged = sound.clone();
            damaged[position] ^= 0x10;
            std::fs::write(&file, &damaged).unwrap();
            assert_eq!(Index::open(&path, 0).unwrap().entries(), 9);
        }
    }

    #[test]
    fn hostile_index_files_never_panic_and_look_up_something() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().into();
        let file = path.join("00000000000000000000.index");
        bolero::check!().for_each(|input: &[u8]| {
            std::fs::write(&file, input).unwrap();
            let mut index = Index::open(&path, 0).unwrap();
            index.before_offset(7);
            index.before_timestamp(7);
            index.truncate(1000).unwrap();
        });
    }
}
