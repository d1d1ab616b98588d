//! The snapshot file of one shard: every live record, and the log offset from which replay goes on.
//!
//! ```text
//! "MSGROUPS"             8
//! format version         4
//! next log offset        8
//! record count           8
//! records: { key length 4 │ key │ value length 4 │ value }
//! CRC-32C of all before  4
//! ```
//!
//! Promises: the file is replaced as a whole or not at all; a damaged one is reported, never half read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::record::EncodedRecord;

const MAGIC: &[u8; 8] = b"MSGROUPS";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 28;
const CHECKSUM_BYTES: usize = 4;
const FILE_NAME: &str = "snapshot";
const NEW_FILE_NAME: &str = "snapshot.new";

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk says no.
    #[error("the snapshot of consumer groups cannot be used")]
    Io(#[from] io::Error),
    /// The checksum or the structure is wrong.
    #[error("the snapshot of consumer groups is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: &'static str,
    },
    /// Another version than this release writes.
    #[error("the snapshot of consumer groups has format {format}; a newer release wrote it, start that one")]
    UnknownFormat {
        /// What it says.
        format: u32,
    },
}

/// A snapshot being put together in memory.
pub struct SnapshotBuilder {
    bytes: Vec<u8>,
    count: u64,
}

impl SnapshotBuilder {
    /// A snapshot of everything before `next_offset`.
    pub fn new(next_offset: i64) -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_be_bytes());
        bytes.extend_from_slice(&next_offset.to_be_bytes());
        bytes.extend_from_slice(&0u64.to_be_bytes());
        Self { bytes, count: 0 }
    }

    /// Adds a live record; there are no others in a snapshot.
    pub fn add(&mut self, record: &EncodedRecord) {
        for part in [&record.key, record.value.as_ref().unwrap_or(&Vec::new())] {
            let length = u32::try_from(part.len()).expect("a record is bounded far below four billion bytes");
            self.bytes.extend_from_slice(&length.to_be_bytes());
            self.bytes.extend_from_slice(part);
        }
        self.count += 1;
    }

    /// The bytes of the file.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes[HEADER_BYTES - 8..HEADER_BYTES].copy_from_slice(&self.count.to_be_bytes());
        let checksum = crc32c::crc32c(&self.bytes);
        self.bytes.extend_from_slice(&checksum.to_be_bytes());
        self.bytes
    }
}

/// A snapshot that was read.
pub struct Snapshot {
    /// From where the log goes on.
    pub next_offset: i64,
    bytes: Vec<u8>,
    count: u64,
}

impl Snapshot {
    /// Reads the snapshot in a directory, if there is one.
    pub fn read(directory: &Path) -> Result<Option<Self>, SnapshotError> {
        match fs::read(directory.join(FILE_NAME)) {
            Ok(bytes) => Self::parse(bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks the bytes of a snapshot file.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, SnapshotError> {
        let damaged = |reason| SnapshotError::Damaged { reason };
        let content_bytes = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(damaged("it is cut short"))?;
        let (content, checksum) = bytes.split_at(content_bytes);
        if content.len() < HEADER_BYTES || !content.starts_with(MAGIC) {
            return Err(damaged("it does not begin as one"));
        }
        if crc32c::crc32c(content).to_be_bytes() != checksum {
            return Err(damaged("the checksum is wrong"));
        }
        let format = u32::from_be_bytes(array(&content[8..12]));
        if format != FORMAT {
            return Err(SnapshotError::UnknownFormat { format });
        }
        let next_offset = i64::from_be_bytes(array(&content[12..20]));
        let count = u64::from_be_bytes(array(&content[20..28]));
        Ok(Self { next_offset, bytes, count })
    }

    /// Hands over every record.
    pub fn visit<E: From<SnapshotError>>(&self, mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>) -> Result<(), E> {
        let cut_short = SnapshotError::Damaged { reason: "a record is cut short" };
        let mut rest = &self.bytes[HEADER_BYTES..self.bytes.len() - CHECKSUM_BYTES];
        for _ in 0..self.count {
            let (Some(key), Some(value)) = (take_sized(&mut rest), take_sized(&mut rest)) else {
                return Err(cut_short.into());
            };
            visit(key, value)?;
        }
        if !rest.is_empty() {
            return Err(SnapshotError::Damaged { reason: "there are bytes after the last record" }.into());
        }
        Ok(())
    }
}

/// Replaces the snapshot in a directory; returns when it would survive the loss of power.
pub fn write(directory: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
    let new_path = directory.join(NEW_FILE_NAME);
    let mut file = File::create(&new_path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new_path, directory.join(FILE_NAME))?;
    File::open(directory)?.sync_all()?;
    Ok(())
}

fn take_sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after_length) = rest.split_at_checked(4)?;
    let length = usize::try_from(u32::from_be_bytes(array(length))).ok()?;
    let (taken, after) = after_length.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller cut out exactly as many bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut builder = SnapshotBuilder::new(42);
        builder.add(&EncodedRecord { key: b"key".to_vec(), value: Some(b"value".to_vec()) });
        builder.add(&EncodedRecord { key: b"k".to_vec(), value: Some(Vec::new()) });
        builder.finish()
    }

    #[test]
    fn a_snapshot_reads_back_as_it_was_written() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(Snapshot::read(directory.path()).expect("no snapshot is fine").is_none());
        write(directory.path(), &SnapshotBuilder::new(1).finish()).expect("written");
        write(directory.path(), &sample()).expect("replaced");
        let snapshot = Snapshot::read(directory.path()).expect("readable").expect("there");
        let mut seen = Vec::new();
        let visited = snapshot.visit(|key, value| {
            seen.push((key.to_vec(), value.to_vec()));
            Ok::<(), SnapshotError>(())
        });
        assert!(visited.is_ok());
        assert_eq!(snapshot.next_offset, 42);
        assert_eq!(seen, [(b"key".to_vec(), b"value".to_vec()), (b"k".to_vec(), Vec::new())]);
    }

    #[test]
    fn a_damaged_byte_anywhere_is_noticed() {
        let bytes = sample();
        for position in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[position] ^= 0x40;
            assert!(Snapshot::parse(broken).is_err(), "byte {position}");
            assert!(Snapshot::parse(bytes[..position].to_vec()).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn whatever_the_records_claim_reading_them_ends() {
        bolero::check!().with_iterations(20_000).for_each(|bytes: &[u8]| {
            let mut contents = SnapshotBuilder::new(0).bytes;
            contents.truncate(HEADER_BYTES - 8);
            contents.extend_from_slice(bytes);
            let checksum = crc32c::crc32c(&contents);
            contents.extend_from_slice(&checksum.to_be_bytes());
            if let Ok(snapshot) = Snapshot::parse(contents) {
                let _ = snapshot.visit(|_, _| Ok::<(), SnapshotError>(()));
            }
        });
    }
}
