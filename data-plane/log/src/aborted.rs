//! The aborted transactions of one segment: which producer's records between which offsets a reader must skip.
//!
//! ```text
//! version 2 │ producer id 8 │ first offset 8 │ last offset 8 │ last stable offset 8 │ CRC-32C of these 4
//! ```
//!
//! An entry is in the segment that holds the abort marker (the last offset), so entries are in the order of their
//! last offsets. Most segments have none, and then no file. Rebuilt from the log above the recovery point.

use std::{io, os::unix::fs::FileExt, path::Path, sync::Arc};

use crate::{
    disk,
    segment_file::{FileKind, SegmentFile},
};

const ENTRY_BYTES: usize = 38;
const ENTRY_VERSION: u16 = 1;
/// A transaction has a marker of at least 61 bytes in a segment of at most 2^31, which bounds the entries.
const MAX_FILE_BYTES: u64 = (i32::MAX as u64 / 61) * ENTRY_BYTES as u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    /// The offset of the marker.
    pub last_offset: i64,
    /// What the last stable offset was after the marker.
    pub last_stable_offset: i64,
}

impl AbortedTransaction {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0..2].copy_from_slice(&ENTRY_VERSION.to_be_bytes());
        bytes[2..10].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[10..18].copy_from_slice(&self.first_offset.to_be_bytes());
        bytes[18..26].copy_from_slice(&self.last_offset.to_be_bytes());
        bytes[26..34].copy_from_slice(&self.last_stable_offset.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..34]);
        bytes[34..38].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let (fields, crc) = bytes.split_last_chunk::<4>()?;
        let is_sound =
            crc32c::crc32c(fields) == u32::from_be_bytes(*crc) && fields.starts_with(&ENTRY_VERSION.to_be_bytes());
        if !is_sound {
            return None;
        }
        let number = |position: usize| fields[position..].first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
        Some(Self {
            producer_id: number(2)?,
            first_offset: number(10)?,
            last_offset: number(18)?,
            last_stable_offset: number(26)?,
        })
    }
}

#[derive(Debug)]
pub(crate) struct AbortedIndex {
    file: SegmentFile,
    entries: u32,
}

impl AbortedIndex {
    pub(crate) fn empty(directory: &Arc<Path>, base_offset: i64) -> Self {
        Self { file: SegmentFile::new(directory, base_offset, FileKind::Aborted), entries: 0 }
    }

    pub(crate) fn open(directory: &Arc<Path>, base_offset: i64) -> io::Result<Self> {
        let mut index = Self::empty(directory, base_offset);
        index.entries = (index.file.size_on_disk()? / ENTRY_BYTES as u64) as u32;
        Ok(index)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    pub(crate) fn append(&mut self, transaction: &AbortedTransaction) -> io::Result<()> {
        let file = self.file.open_or_create()?;
        let result = file.write_all_at(&transaction.encode(), u64::from(self.entries) * ENTRY_BYTES as u64);
        self.file.release();
        result?;
        self.entries += 1;
        Ok(())
    }

    /// All entries in the order of their last offsets. A damaged one is an error: left out, it would show aborted
    /// records as committed.
    pub(crate) fn load(&self) -> io::Result<Vec<AbortedTransaction>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let content = disk::read_if_there(&self.file.path(), MAX_FILE_BYTES)?.unwrap_or_default();
        let entries = content.as_chunks::<ENTRY_BYTES>().0;
        if entries.len() < self.entries as usize {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the transaction index is shorter than it was"));
        }
        entries[..self.entries as usize]
            .iter()
            .map(|bytes| AbortedTransaction::decode(bytes).ok_or_else(|| io::ErrorKind::InvalidData.into()))
            .collect()
    }

    /// Drops entries whose marker is at or above `offset`, and whatever follows the first unsound one.
    pub(crate) fn truncate(&mut self, offset: i64) -> io::Result<()> {
        if self.is_empty() {
            return self.file.remove();
        }
        let content = disk::read_if_there(&self.file.path(), MAX_FILE_BYTES)?.unwrap_or_default();
        let kept = content
            .as_chunks::<ENTRY_BYTES>()
            .0
            .iter()
            .map_while(AbortedTransaction::decode)
            .take_while(|entry| entry.last_offset < offset)
            .count();
        self.entries = kept as u32;
        if kept == 0 {
            return self.file.remove();
        }
        self.file.open()?.set_len((kept * ENTRY_BYTES) as u64)?;
        self.file.release();
        Ok(())
    }

    /// The file, if there is one.
    pub(crate) fn open_file(&self) -> io::Result<Option<Arc<std::fs::File>>> {
        if self.is_empty() { Ok(None) } else { self.file.open_once() }
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        self.file.remove()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(number: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: number,
            first_offset: number * 10,
            last_offset: number * 10 + 5,
            last_stable_offset: number * 10 + 6,
        }
    }

    #[test]
    fn transactions_are_read_as_written_and_truncated_by_their_markers() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().into();
        let mut index = AbortedIndex::empty(&path, 0);
        for number in 0..4 {
            index.append(&transaction(number)).unwrap();
        }
        assert_eq!(index.load().unwrap(), (0..4).map(transaction).collect::<Vec<_>>());
        let mut reopened = AbortedIndex::open(&path, 0).unwrap();
        reopened.truncate(25).unwrap();
        assert_eq!(reopened.load().unwrap(), [transaction(0), transaction(1)]);
        reopened.truncate(0).unwrap();
        assert!(reopened.load().unwrap().is_empty());
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_entry_is_an_error_and_not_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().into();
        let mut index = AbortedIndex::empty(&path, 0);
        index.append(&transaction(1)).unwrap();
        let file = path.join("00000000000000000000.txnindex");
        let sound = std::fs::read(&file).unwrap();
        for position in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[position] ^= 1;
            std::fs::write(&file, &damaged).unwrap();
            assert!(index.load().is_err());
        }
    }

    #[test]
    fn hostile_transaction_indexes_never_panic() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().into();
        let file = path.join("00000000000000000000.txnindex");
        bolero::check!().for_each(|input: &[u8]| {
            std::fs::write(&file, input).unwrap();
            let mut index = AbortedIndex::open(&path, 0).unwrap();
            let _ = index.load();
            index.truncate(1000).unwrap();
            index.load().unwrap();
        });
    }
}
