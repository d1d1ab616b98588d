//! Applies committed entries to the image, publishes it, and makes snapshots of it.
//!
//! The image lives in memory; a snapshot on disk and the log after it bring it back. Applying does no I/O. An entry
//! whose records do not apply stops the group: the log is then not what this release wrote, and guessing would fork
//! the metadata.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use openraft::storage::RaftStateMachine;
use openraft::{
    AnyError, BasicNode, Entry, EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot, StorageError,
    StorageIOError, StoredMembership,
};
use tokio::sync::watch;

use crate::image::{ApplyError, MetadataImage};
use crate::raft::entry::{Applied, Batch};
use crate::raft::snapshot_file::{Meta, SnapshotFile, StoredSnapshot};
use crate::raft::{TypeConfig, VoterId};
use crate::snapshot;

type RaftStorageError = StorageError<VoterId>;

/// The state machine of one voter.
pub(crate) struct StateMachine {
    published: watch::Sender<Arc<MetadataImage>>,
    last_applied: Option<LogId<VoterId>>,
    membership: StoredMembership<VoterId, BasicNode>,
    snapshot_file: SnapshotFile,
}

impl StateMachine {
    /// Continues from the snapshot that was read at the start.
    pub(crate) fn new(snapshot_path: PathBuf, stored: Option<StoredSnapshot>) -> Self {
        let snapshot_file = SnapshotFile::new(snapshot_path, stored.as_ref());
        let (image, meta) = match stored {
            Some(stored) => (stored.image, Some(stored.meta)),
            None => (MetadataImage::default(), None),
        };
        Self {
            published: watch::Sender::new(Arc::new(image)),
            last_applied: meta.as_ref().and_then(|meta| meta.last_log_id),
            membership: meta.map(|meta| meta.last_membership).unwrap_or_default(),
            snapshot_file,
        }
    }

    /// Where images are published.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<MetadataImage>> {
        self.published.subscribe()
    }

    fn apply_batch(image: &mut MetadataImage, batch: &Batch) -> Result<Applied, ApplyError> {
        // Empty batches only mark a position, so they are never out of date.
        if batch.base_offset != image.offset() && !batch.records.is_empty() {
            return Ok(Applied::Superseded);
        }
        image.apply_all(batch.records.iter())?;
        Ok(Applied::At(image.offset()))
    }
}

/// Makes one snapshot, from an image that no longer changes.
pub(crate) struct SnapshotBuilder {
    image: Arc<MetadataImage>,
    meta: Meta,
    snapshot_file: SnapshotFile,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, RaftStorageError> {
        let image = Arc::clone(&self.image);
        let meta = self.meta.clone();
        let file = self.snapshot_file.clone();
        let bytes = on_blocking_thread(move || {
            let bytes = snapshot::encode(&image);
            file.write(&meta, &bytes)?;
            Ok(bytes)
        })
        .await
        .map_err(|error| StorageIOError::write_snapshot(Some(self.meta.signature()), AnyError::new(&error)))?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: Box::new(Cursor::new(bytes)) })
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<VoterId>>, StoredMembership<VoterId, BasicNode>), RaftStorageError> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Applied>, RaftStorageError>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let before = Arc::clone(&self.published.borrow());
        let mut image = MetadataImage::clone(&before);
        let mut answers = Vec::new();
        for entry in entries {
            let log_id = entry.log_id;
            let answer = match entry.payload {
                EntryPayload::Blank => Applied::At(image.offset()),
                EntryPayload::Normal(batch) => Self::apply_batch(&mut image, &batch)
                    .map_err(|error| StorageIOError::apply(log_id, AnyError::new(&error)))?,
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(log_id), membership);
                    Applied::At(image.offset())
                }
            };
            self.last_applied = Some(log_id);
            answers.push(answer);
        }
        if image.offset() != before.offset() {
            self.published.send_replace(Arc::new(image));
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        let image = Arc::clone(&self.published.borrow());
        // Unique per state: the same log id holds the same image, so the same id may stand for both.
        let position = self.last_applied.map_or_else(|| "0".to_owned(), |log_id| log_id.to_string());
        SnapshotBuilder {
            meta: Meta {
                last_log_id: self.last_applied,
                last_membership: self.membership.clone(),
                snapshot_id: format!("{position}-{}", image.offset()),
            },
            image,
            snapshot_file: self.snapshot_file.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, RaftStorageError> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }

    async fn install_snapshot(&mut self, meta: &Meta, snapshot: Box<Cursor<Vec<u8>>>) -> Result<(), RaftStorageError> {
        let file = self.snapshot_file.clone();
        let new_meta = meta.clone();
        let image = on_blocking_thread(move || {
            let bytes = snapshot.into_inner();
            let image = snapshot::decode(&bytes).map_err(std::io::Error::other)?;
            file.write(&new_meta, &bytes)?;
            Ok(image)
        })
        .await
        .map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), AnyError::new(&error)))?;
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.published.send_replace(Arc::new(image));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, RaftStorageError> {
        let file = self.snapshot_file.clone();
        let stored = on_blocking_thread(move || file.read())
            .await
            .map_err(|error| StorageIOError::read_snapshot(None, AnyError::new(&error)))?;
        Ok(stored.map(|(meta, bytes)| Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) }))
    }
}

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
