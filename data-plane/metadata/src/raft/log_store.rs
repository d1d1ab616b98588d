//! The raft log and vote of one voter, in one redb file.
//!
//! Every append, truncation and vote is one transaction with one fsync, run on a blocking thread: a worker of the
//! runtime never waits for the disk. The committed position rides along with the next append, for a quicker restart.
//! The lock of the file is the lock of the whole directory.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, Entry, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote};
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use crate::image::MetadataImage;
use crate::raft::entry::{self, EntryError};
use crate::raft::files::{Layout, StartError, io_error};
use crate::raft::snapshot_file::StoredSnapshot;
use crate::raft::{TypeConfig, VoterId};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
const VOTE: &str = "vote";
const PURGED: &str = "purged";
const COMMITTED: &str = "committed";
const VOTER: &str = "voter";
/// redb's page cache: the working set is the tail of the log. Its own default is 1 GiB.
const CACHE_BYTES: usize = 4 * 1024 * 1024;
/// The most bytes of entries in one answer to a reader, so that a slow follower does not cost memory.
const MAX_READ_BYTES: usize = 8 * 1024 * 1024;

type Id = LogId<VoterId>;
type RaftStorageError = StorageError<VoterId>;

/// Why an operation on the log failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("metadata log cannot be read or written")]
    Database(#[source] Box<redb::Error>),
    #[error("metadata log entry {index} is damaged")]
    Entry {
        index: u64,
        #[source]
        source: EntryError,
    },
    #[error("metadata log holds a bad {key}")]
    State {
        key: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("metadata log thread ended early")]
    Thread(#[source] tokio::task::JoinError),
}

impl<E: Into<redb::Error>> From<E> for LogError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// The log of one voter. Clones share the file.
#[derive(Clone)]
pub(crate) struct LogStore {
    database: Arc<Database>,
    committed: Arc<Mutex<Option<Id>>>,
}

/// Where the log stands when it is opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Whether it holds neither a vote nor an entry.
    pub(crate) is_pristine: bool,
}

impl LogStore {
    /// Opens or creates the log. Blocking. Locks the directory.
    pub(crate) fn open(layout: &Layout, voter_id: VoterId) -> Result<Self, StartError> {
        let exists = layout.log.metadata().is_ok_and(|metadata| metadata.len() > 0);
        if !exists && layout.snapshot.exists() {
            return Err(layout.damaged(&layout.log, "it is missing although there is a snapshot"));
        }
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(exists);
        let database = builder.create(&layout.log).map_err(|error| open_error(layout, error))?;
        let store = Self { database: Arc::new(database), committed: Arc::default() };
        store.check_voter(layout, voter_id)?;
        Ok(store)
    }

    /// Whether no clone holds the file any more.
    pub(crate) fn is_last_user(&self) -> bool {
        Arc::strong_count(&self.database) == 1
    }

    /// Remembers whose log this is, or checks it.
    fn check_voter(&self, layout: &Layout, expected: VoterId) -> Result<(), StartError> {
        let damaged = |error: LogError| layout.damaged(&layout.log, describe(&error));
        let found: Option<VoterId> = read_state(&self.database, VOTER).map_err(damaged)?;
        match found {
            Some(found) if found != expected => {
                Err(StartError::OtherVoter { directory: layout.directory.clone(), found, expected })
            }
            Some(_) => Ok(()),
            None => {
                let write = || -> Result<(), LogError> {
                    let transaction = self.database.begin_write()?;
                    transaction.open_table(ENTRIES)?;
                    write_state(&mut transaction.open_table(STATE)?, VOTER, &expected)?;
                    Ok(transaction.commit()?)
                };
                write().map_err(|error| io_error("write", &layout.log)(io::Error::other(error)))
            }
        }
    }

    /// Reads everything once and applies it to a copy of the snapshot, so that damage is found before the group runs.
    pub(crate) fn verify(&self, layout: &Layout, snapshot: Option<&StoredSnapshot>) -> Result<Opened, StartError> {
        let damaged = |error: LogError| layout.damaged(&layout.log, describe(&error));
        let state = self.log_state().map_err(damaged)?;
        let vote: Option<Vote<VoterId>> = read_state(&self.database, VOTE).map_err(damaged)?;
        let snapshot_end = snapshot.and_then(|snapshot| snapshot.meta.last_log_id);
        if state.last_purged_log_id > snapshot_end {
            return Err(layout.damaged(&layout.snapshot, "it is missing or older than the log it should precede"));
        }
        let mut image = snapshot.map_or_else(MetadataImage::default, |snapshot| snapshot.image.clone());
        let mut expected = state.last_purged_log_id.map_or(0, |log_id| log_id.index + 1);
        self.for_each_entry(|entry| {
            if entry.log_id.index != expected {
                return Err(layout.damaged(&layout.log, format!("entry {expected} is missing")));
            }
            expected += 1;
            let is_in_snapshot = snapshot_end.is_some_and(|end| entry.log_id.index <= end.index);
            let openraft::EntryPayload::Normal(batch) = &entry.payload else { return Ok(()) };
            if is_in_snapshot || batch.base_offset != image.offset() {
                return Ok(());
            }
            image.apply_all(batch.records.iter()).map_err(|error| {
                layout.damaged(&layout.log, format!("entry {} does not apply: {error}", entry.log_id.index))
            })
        })
        .map_err(damaged)??;
        Ok(Opened { is_pristine: vote.is_none() && state.last_log_id.is_none() })
    }

    fn for_each_entry(
        &self,
        mut visit: impl FnMut(Entry<TypeConfig>) -> Result<(), StartError>,
    ) -> Result<Result<(), StartError>, LogError> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(ENTRIES)?.iter()? {
            let (index, bytes) = row?;
            if let Err(error) = visit(decode(index.value(), bytes.value())?) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn log_state(&self) -> Result<LogState<TypeConfig>, LogError> {
        let last_purged_log_id: Option<Id> = read_state(&self.database, PURGED)?;
        let transaction = self.database.begin_read()?;
        let entries = transaction.open_table(ENTRIES)?;
        let last_entry = match entries.last()? {
            Some((index, bytes)) => Some(decode(index.value(), bytes.value())?.log_id),
            None => None,
        };
        Ok(LogState { last_purged_log_id, last_log_id: last_entry.or(last_purged_log_id) })
    }

    fn entries(&self, start: u64, end: u64, byte_limit: usize) -> Result<Vec<Entry<TypeConfig>>, LogError> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(ENTRIES)?;
        let mut entries = Vec::new();
        let mut bytes_read = 0usize;
        for row in table.range(start..end)? {
            let (index, bytes) = row?;
            bytes_read = bytes_read.saturating_add(bytes.value().len());
            let is_enough = bytes_read > byte_limit && !entries.is_empty();
            if is_enough {
                break;
            }
            entries.push(decode(index.value(), bytes.value())?);
        }
        Ok(entries)
    }

    fn append_entries(&self, entries: &[Entry<TypeConfig>]) -> Result<(), LogError> {
        let committed = *self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(ENTRIES)?;
            for entry in entries {
                let index = entry.log_id.index;
                let bytes = entry::encode(entry).map_err(|source| LogError::Entry { index, source })?;
                table.insert(index, bytes.as_slice())?;
            }
            write_state(&mut transaction.open_table(STATE)?, COMMITTED, &committed)?;
        }
        // Durable when it returns: what is acknowledged was committed here.
        Ok(transaction.commit()?)
    }

    fn remove_entries(&self, range: impl RangeBounds<u64>, purged: Option<Id>) -> Result<(), LogError> {
        let transaction = self.database.begin_write()?;
        {
            transaction.open_table(ENTRIES)?.retain_in(range, |_, _| false)?;
            if let Some(purged) = purged {
                write_state(&mut transaction.open_table(STATE)?, PURGED, &purged)?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn write_vote(&self, vote: &Vote<VoterId>) -> Result<(), LogError> {
        let transaction = self.database.begin_write()?;
        write_state(&mut transaction.open_table(STATE)?, VOTE, vote)?;
        Ok(transaction.commit()?)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(LogError::Thread)?
    }
}

fn open_error(layout: &Layout, error: DatabaseError) -> StartError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StartError::Locked { directory: layout.directory.clone() }
        }
        DatabaseError::Storage(redb::StorageError::Io(source)) if source.kind() != io::ErrorKind::InvalidData => {
            StartError::Io { action: "open", file: layout.log.clone(), source }
        }
        error => layout.damaged(&layout.log, error.to_string()),
    }
}

/// An error with its causes, for a person.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn decode(index: u64, bytes: &[u8]) -> Result<Entry<TypeConfig>, LogError> {
    entry::decode(index, bytes).map_err(|source| LogError::Entry { index, source })
}

fn read_state<T: serde::de::DeserializeOwned>(database: &Database, key: &'static str) -> Result<Option<T>, LogError> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(STATE) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(bytes) = table.get(key)? else { return Ok(None) };
    serde_json::from_slice(bytes.value()).map_err(|source| LogError::State { key, source })
}

fn write_state(
    table: &mut redb::Table<'_, &str, &[u8]>,
    key: &'static str,
    value: &impl serde::Serialize,
) -> Result<(), LogError> {
    let bytes = serde_json::to_vec(value).map_err(|source| LogError::State { key, source })?;
    table.insert(key, bytes.as_slice())?;
    Ok(())
}

fn read_failed(error: LogError) -> RaftStorageError {
    StorageIOError::read_logs(AnyError::new(&error)).into()
}

fn write_failed(error: LogError) -> RaftStorageError {
    StorageIOError::write_logs(AnyError::new(&error)).into()
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end.max(start))
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<TypeConfig>>, RaftStorageError> {
        let (start, end) = bounds(&range);
        self.run(move |store| store.entries(start, end, usize::MAX)).await.map_err(read_failed)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry<TypeConfig>>, RaftStorageError> {
        self.run(move |store| store.entries(start, end, MAX_READ_BYTES)).await.map_err(read_failed)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, RaftStorageError> {
        self.run(Self::log_state).await.map_err(read_failed)
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<VoterId>) -> Result<(), RaftStorageError> {
        let vote = *vote;
        self.run(move |store| store.write_vote(&vote)).await.map_err(write_failed)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<VoterId>>, RaftStorageError> {
        self.run(|store| read_state(&store.database, VOTE)).await.map_err(read_failed)
    }

    async fn save_committed(&mut self, committed: Option<Id>) -> Result<(), RaftStorageError> {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<Id>, RaftStorageError> {
        let stored = self.run(|store| read_state::<Option<Id>>(&store.database, COMMITTED)).await;
        let stored = stored.map_err(read_failed)?.flatten();
        let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        // Kept, so that the next append does not forget it.
        if committed.is_none() {
            *committed = stored;
        }
        Ok(*committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), RaftStorageError>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry<TypeConfig>> = entries.into_iter().collect();
        let appended = self.run(move |store| store.append_entries(&entries)).await;
        match appended {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => Err(write_failed(error)),
        }
    }

    async fn truncate(&mut self, log_id: Id) -> Result<(), RaftStorageError> {
        self.run(move |store| store.remove_entries(log_id.index.., None)).await.map_err(write_failed)
    }

    async fn purge(&mut self, log_id: Id) -> Result<(), RaftStorageError> {
        self.run(move |store| store.remove_entries(..=log_id.index, Some(log_id))).await.map_err(write_failed)
    }
}
