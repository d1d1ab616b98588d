//! Where a shard writes its records: an ordered log that is replayed at start and cut at the front.

use std::io;

use millstream_log::{AppendError, CloseError, OpenError, ReadError, StorageError};
use millstream_protocol::record_batch::{BatchError, BuildError};

use super::record::{EncodedRecord, RecordError};

/// Why a journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be opened.
    #[error("cannot open the log of consumer groups")]
    Open(#[from] OpenError),
    /// Nothing can be added.
    #[error("cannot append to the log of consumer groups")]
    Append(#[from] AppendError),
    /// The records do not fit into a batch.
    #[error("cannot build a batch for the log of consumer groups")]
    Build(#[from] BuildError),
    /// Nothing can be read.
    #[error("cannot read the log of consumer groups")]
    Read(#[from] ReadError),
    /// The file cannot be read.
    #[error("cannot read a file of the log of consumer groups")]
    ReadFile(#[source] io::Error),
    /// What was read is not a batch.
    #[error("the log of consumer groups holds a bad batch")]
    Batch(#[from] BatchError),
    /// What was read is not a record.
    #[error("the log of consumer groups holds a bad record at offset {offset}")]
    Record {
        /// Where.
        offset: i64,
        /// What is wrong.
        #[source]
        source: RecordError,
    },
    /// Records are gone that no snapshot holds.
    #[error("the log of consumer groups starts at offset {first}, but records from {wanted} on are needed")]
    Missing {
        /// The first that is needed.
        wanted: i64,
        /// The first that is there.
        first: i64,
    },
    /// The log cannot be cut.
    #[error("cannot cut the log of consumer groups")]
    Cut(#[from] StorageError),
    /// The log cannot be closed.
    #[error("cannot close the log of consumer groups")]
    Close(#[from] CloseError),
}

/// What replay hands over: offset, key, value.
pub type Visit<'a> = dyn FnMut(i64, &[u8], Option<&[u8]>) -> Result<(), JournalError> + 'a;

/// An ordered log of records.
///
/// - `append` is atomic: after a crash all of the records are there, or none.
/// - What was appended survives the death of the process.
/// - An append that failed leaves no trace: a later replay does not see it.
/// - `discard_before` may keep more than it must, but nothing before an offset that `cut_point` returned.
pub trait Journal: Send {
    /// Adds records at the end.
    fn append(&mut self, records: &[EncodedRecord], now_ms: i64) -> Result<(), JournalError>;
    /// Hands over every record from `from` on, in order; fails if some of them are gone.
    fn replay(&self, from: i64, visit: &mut Visit<'_>) -> Result<(), JournalError>;
    /// The offset the next record will get.
    fn end_offset(&self) -> i64;
    /// Makes the end a place at which the journal can be cut later, and says where that is.
    fn cut_point(&mut self) -> Result<i64, JournalError>;
    /// Forgets records before an offset.
    fn discard_before(&mut self, offset: i64) -> Result<(), JournalError>;
    /// Ends the use in good order.
    fn close(&mut self) -> Result<(), JournalError>;
}

#[cfg(test)]
pub(super) mod memory {
    //! A journal in memory that outlives the shard and fails when told to.

    use std::sync::{Arc, Mutex, PoisonError};

    use millstream_log::StorageError;

    use super::{EncodedRecord, Journal, JournalError, Visit};

    #[derive(Default)]
    struct Shared {
        first_offset: i64,
        records: Vec<EncodedRecord>,
        is_broken: bool,
    }

    #[derive(Clone, Default)]
    pub(crate) struct MemoryJournal(Arc<Mutex<Shared>>);

    impl MemoryJournal {
        fn with<T>(&self, act: impl FnOnce(&mut Shared) -> T) -> T {
            act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }

        pub(crate) fn set_broken(&self, is_broken: bool) {
            self.with(|shared| shared.is_broken = is_broken);
        }

        pub(crate) fn len(&self) -> usize {
            self.with(|shared| shared.records.len())
        }

        /// What a loss of power may do to records that were not flushed.
        pub(crate) fn lose_from(&self, offset: i64) {
            self.with(|shared| {
                let keep = usize::try_from(offset - shared.first_offset).unwrap_or(0);
                shared.records.truncate(keep);
                shared.first_offset = shared.first_offset.min(offset);
            });
        }
    }

    impl Journal for MemoryJournal {
        fn append(&mut self, records: &[EncodedRecord], _now_ms: i64) -> Result<(), JournalError> {
            self.with(|shared| {
                if shared.is_broken {
                    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
                    return Err(JournalError::Append(StorageError::DiskFull(full).into()));
                }
                shared.records.extend_from_slice(records);
                Ok(())
            })
        }

        fn replay(&self, from: i64, visit: &mut Visit<'_>) -> Result<(), JournalError> {
            let (first_offset, records) = self.with(|shared| (shared.first_offset, shared.records.clone()));
            if from < first_offset {
                return Err(JournalError::Missing { wanted: from, first: first_offset });
            }
            for (index, record) in records.iter().enumerate() {
                let offset = first_offset + index as i64;
                if offset >= from {
                    visit(offset, &record.key, record.value.as_deref())?;
                }
            }
            Ok(())
        }

        fn end_offset(&self) -> i64 {
            self.with(|shared| shared.first_offset + shared.records.len() as i64)
        }

        fn cut_point(&mut self) -> Result<i64, JournalError> {
            Ok(self.end_offset())
        }

        fn discard_before(&mut self, offset: i64) -> Result<(), JournalError> {
            self.with(|shared| {
                let count = usize::try_from(offset - shared.first_offset).unwrap_or(0).min(shared.records.len());
                shared.records.drain(..count);
                shared.first_offset += count as i64;
            });
            Ok(())
        }

        fn close(&mut self) -> Result<(), JournalError> {
            Ok(())
        }
    }
}
