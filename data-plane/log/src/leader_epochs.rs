//! Which leader epoch began at which offset: what a follower or a consumer compares to find where logs diverge.
//!
//! ```text
//! "MSLE" 4 │ version 2 │ entry count 4 │ { epoch 4 │ start offset 8 } … │ CRC-32C of the bytes before 4
//! ```
//!
//! Epochs and start offsets both rise. The file is replaced as a whole when an epoch begins or the log is cut, and
//! rebuilt from the batches if it is missing or damaged.

use std::{io, path::Path};

use crate::disk;

pub(crate) const FILE_NAME: &str = "leader-epochs";
const MAGIC: &[u8; 4] = b"MSLE";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 10;
const ENTRY_BYTES: usize = 12;
/// Leadership changes a few times a day; the oldest entries go first if a log ever sees more than this.
const MAX_EPOCHS: usize = 65_536;

/// Where an epoch ends: the answer to OffsetForLeaderEpoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest known epoch that is not above the requested one.
    pub epoch: i32,
    /// The first offset after it.
    pub end_offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    epoch: i32,
    start_offset: i64,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct LeaderEpochs {
    entries: Vec<Entry>,
}

impl LeaderEpochs {
    pub(crate) fn latest(&self) -> Option<i32> {
        self.entries.last().map(|entry| entry.epoch)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The epoch in which this offset was appended.
    pub(crate) fn epoch_at(&self, offset: i64) -> Option<i32> {
        let after = self.entries.partition_point(|entry| entry.start_offset <= offset);
        after.checked_sub(1).map(|index| self.entries[index].epoch)
    }

    /// Notes that `epoch` begins at `start_offset`, if it is news. Says whether anything changed.
    pub(crate) fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        let is_news = epoch >= 0 && self.latest().is_none_or(|latest| epoch > latest);
        if !is_news {
            return false;
        }
        // An epoch in which nothing was appended has no offsets: its successor takes its place.
        self.entries.retain(|entry| entry.start_offset < start_offset);
        if self.entries.len() == MAX_EPOCHS {
            self.entries.remove(0);
        }
        self.entries.push(Entry { epoch, start_offset });
        true
    }

    /// The end of `epoch`, or of the next smaller one that is known. `None` if the epoch is newer than all.
    pub(crate) fn end_of(&self, epoch: i32, log_end_offset: i64) -> Option<EpochEnd> {
        let latest = self.latest()?;
        if epoch == latest {
            return Some(EpochEnd { epoch, end_offset: log_end_offset });
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end_offset = self.entries.get(above)?.start_offset;
        // Older than everything we know: nothing of it is here, and what follows begins at our first entry.
        let epoch = above.checked_sub(1).map_or(epoch, |index| self.entries[index].epoch);
        Some(EpochEnd { epoch, end_offset })
    }

    /// Forgets epochs that began after the new end of the log. Says whether anything changed.
    pub(crate) fn truncate_end(&mut self, log_end_offset: i64) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.start_offset < log_end_offset);
        self.entries.len() != before
    }

    /// Forgets epochs that ended before the new start of the log. Says whether anything changed.
    pub(crate) fn truncate_start(&mut self, log_start_offset: i64) -> bool {
        let gone = self.entries.partition_point(|entry| entry.start_offset <= log_start_offset).saturating_sub(1);
        self.entries.drain(..gone);
        match self.entries.first_mut() {
            Some(first) if first.start_offset < log_start_offset => {
                first.start_offset = log_start_offset;
                true
            }
            _ => gone > 0,
        }
    }

    pub(crate) fn save(&self, directory: &Path) -> io::Result<()> {
        disk::replace(directory, FILE_NAME, &self.encode())
    }

    /// `None` if the file is missing or damaged.
    pub(crate) fn load(directory: &Path) -> io::Result<Option<Self>> {
        let max_bytes = (HEADER_BYTES + MAX_EPOCHS * ENTRY_BYTES + 4) as u64;
        match disk::read_if_there(&directory.join(FILE_NAME), max_bytes) {
            Ok(content) => Ok(content.and_then(|content| Self::decode(&content))),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.entries.len() * ENTRY_BYTES + 4);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&(self.entries.len() as u32).to_be_bytes());
        for entry in &self.entries {
            bytes.extend_from_slice(&entry.epoch.to_be_bytes());
            bytes.extend_from_slice(&entry.start_offset.to_be_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (checked, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(checked) != u32::from_be_bytes(*crc) {
            return None;
        }
        let rest = checked.strip_prefix(MAGIC)?.strip_prefix(&VERSION.to_be_bytes())?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (chunks, leftover) = rest.as_chunks::<ENTRY_BYTES>();
        let fits = chunks.len() == u32::from_be_bytes(*count) as usize && leftover.is_empty();
        if !fits {
            return None;
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let epoch = i32::from_be_bytes(*chunk.first_chunk()?);
            let start_offset = i64::from_be_bytes(*chunk[4..].first_chunk()?);
            let rises = entries.last().is_none_or(|last| epoch > last.epoch && start_offset > last.start_offset);
            if !rises || epoch < 0 || start_offset < 0 {
                return None;
            }
            entries.push(Entry { epoch, start_offset });
        }
        Some(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start_offset) in entries {
            epochs.assign(*epoch, *start_offset);
        }
        epochs
    }

    #[track_caller]
    fn check_end(epochs: &LeaderEpochs, requested: i32, expected: Option<(i32, i64)>) {
        let end = epochs.end_of(requested, 100).map(|end| (end.epoch, end.end_offset));
        assert_eq!(end, expected);
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins_and_the_latest_at_the_log_end() {
        let epochs = epochs(&[(2, 10), (4, 30), (7, 60)]);
        check_end(&epochs, 0, Some((0, 10)));
        check_end(&epochs, 2, Some((2, 30)));
        check_end(&epochs, 3, Some((2, 30)));
        check_end(&epochs, 4, Some((4, 60)));
        check_end(&epochs, 6, Some((4, 60)));
        check_end(&epochs, 7, Some((7, 100)));
        check_end(&epochs, 8, None);
        check_end(&LeaderEpochs::default(), 0, None);
    }

    #[test]
    fn an_epoch_without_a_batch_gives_way_to_its_successor() {
        let epochs = epochs(&[(1, 0), (2, 50), (3, 50)]);
        check_end(&epochs, 1, Some((1, 50)));
        check_end(&epochs, 2, Some((1, 50)));
        check_end(&epochs, 3, Some((3, 100)));
    }

    #[test]
    fn old_epochs_are_not_assigned_again() {
        let mut epochs = epochs(&[(5, 0)]);
        assert!(!epochs.assign(5, 10));
        assert!(!epochs.assign(4, 10));
        assert!(!epochs.assign(-1, 10));
        assert!(epochs.assign(6, 10));
    }

    #[test]
    fn cutting_the_end_drops_epochs_that_began_there_or_later() {
        let mut cut = epochs(&[(1, 0), (2, 10), (3, 20)]);
        assert!(cut.truncate_end(20));
        assert_eq!(cut, epochs(&[(1, 0), (2, 10)]));
        assert!(!cut.truncate_end(20));
        assert_eq!(cut.epoch_at(15), Some(2));
    }

    #[test]
    fn cutting_the_start_keeps_the_epoch_that_is_cut_through() {
        let mut cut = epochs(&[(1, 0), (2, 10), (3, 20)]);
        assert!(cut.truncate_start(15));
        assert_eq!(cut, epochs(&[(2, 15), (3, 20)]));
        assert!(cut.truncate_start(20));
        assert_eq!(cut, epochs(&[(3, 20)]));
        assert!(!cut.truncate_start(20));
    }

    #[test]
    fn the_file_is_read_as_written_and_every_flipped_bit_is_noticed() {
        let epochs = epochs(&[(1, 0), (9, 1 << 40)]);
        let bytes = epochs.encode();
        assert_eq!(LeaderEpochs::decode(&bytes), Some(epochs));
        for position in 0..bytes.len() {
            assert_eq!(LeaderEpochs::decode(&bytes[..position]), None);
            let mut damaged = bytes.clone();
            damaged[position] ^= 4;
            assert_eq!(LeaderEpochs::decode(&damaged), None);
        }
    }

    #[test]
    fn hostile_epoch_files_never_panic() {
        bolero::check!().for_each(|input: &[u8]| {
            let mut bytes = [MAGIC.as_slice(), &VERSION.to_be_bytes(), input].concat();
            let crc = crc32c::crc32c(&bytes);
            bytes.extend_from_slice(&crc.to_be_bytes());
            let _ = LeaderEpochs::decode(&bytes);
        });
    }
}
