//! The asynchronous edge of the group coordinator: requests that wait, timers, snapshots, start and stop.
//!
//! Promises: a request is answered, or its future may be dropped at any time and nothing is left of it; an answer
//! leaves after what it tells was written. A shard is locked for the time of a decision and an append to the page
//! cache, never while anything waits. Decides nothing itself.

mod clock;
mod slot;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_api::ids::LogicalClusterId;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;

use super::classic::event::{Event, Heartbeat, Join, JoinRefused, Joined, Leaver, Left, Reply, Sync, Synced, Token};
use super::config::GroupConfig;
use super::error::GroupError;
use super::log_journal::LogJournal;
use super::moment::Moment;
use super::offsets::{CommittedOffset, Offsets};
use super::shard::{Commit, Description, Listing, LoadError, Shard};
use clock::Clock;
use slot::Slot;

/// The layout of the directory that this release reads and writes.
const FORMAT: u32 = 1;

/// Topic, partition and what is committed there.
pub type CommittedPartition = (String, i32, CommittedOffset);

/// Why the coordinator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory cannot be used.
    #[error("cannot use {path} for consumer groups: {source}")]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another release, or a setting that may not change.
    #[error("{path} says {found:?}, expected {expected:?} (format and number of shards)")]
    Format {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this release with these settings would say.
        expected: String,
    },
    /// What was written down cannot be read.
    #[error("cannot load the consumer groups in {path}")]
    Load {
        /// The directory of the shard.
        path: PathBuf,
        /// Why.
        #[source]
        source: LoadError,
    },
    /// Loading panicked.
    #[error("loading the consumer groups was interrupted")]
    Interrupted(#[source] JoinError),
}

/// The group coordinator of one broker.
pub struct GroupCoordinator {
    slots: Vec<Arc<Slot>>,
    next_token: AtomicU64,
    max_offset_metadata: usize,
    clock: Clock,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    _stop_when_dropped: DropGuard,
}

impl GroupCoordinator {
    /// Reads what was written down and answers from then on. Every shard is loaded when this returns.
    pub async fn start(directory: &Path, config: GroupConfig) -> Result<Arc<Self>, StartError> {
        let shard_count = config.shards.max(1);
        check_format(directory, shard_count)?;
        let clock = Clock::new();
        let mut loading = Vec::new();
        for number in 0..shard_count {
            let (path, config) = (directory.join(number.to_string()), config.clone());
            let now = clock.now();
            loading.push(tokio::task::spawn_blocking(move || load(path, config, now)));
        }
        let stop = CancellationToken::new();
        let (mut slots, mut tasks) = (Vec::new(), Vec::new());
        for shard in loading {
            let shard = shard.await.map_err(StartError::Interrupted)??;
            let slot = Arc::new(Slot::new(shard, clock));
            tasks.push(tokio::spawn(slot::keep_time(Arc::clone(&slot), config.clone(), stop.clone())));
            slots.push(slot);
        }
        Ok(Arc::new(Self {
            slots,
            next_token: AtomicU64::new(0),
            max_offset_metadata: config.max_offset_metadata_bytes,
            clock,
            stop: stop.clone(),
            tasks: Mutex::new(tasks),
            _stop_when_dropped: stop.drop_guard(),
        }))
    }

    /// JoinGroup: waits until the group has its next generation.
    pub async fn join(&self, tenant: &LogicalClusterId, group_id: &str, join: Join) -> Result<Joined, JoinRefused> {
        let member_id = join.member_id.clone();
        match self.request(tenant, group_id, Event::Join(join)).await {
            Some(Reply::Join(result)) => result,
            _ => Err(JoinRefused { member_id, error: GroupError::CoordinatorNotAvailable }),
        }
    }

    /// SyncGroup: waits until the leader has assigned.
    pub async fn sync(&self, tenant: &LogicalClusterId, group_id: &str, sync: Sync) -> Result<Synced, GroupError> {
        match self.request(tenant, group_id, Event::Sync(sync)).await {
            Some(Reply::Sync(result)) => result,
            _ => Err(GroupError::CoordinatorNotAvailable),
        }
    }

    /// Heartbeat.
    pub async fn heartbeat(
        &self,
        tenant: &LogicalClusterId,
        group_id: &str,
        heartbeat: Heartbeat,
    ) -> Result<(), GroupError> {
        match self.request(tenant, group_id, Event::Heartbeat(heartbeat)).await {
            Some(Reply::Heartbeat(result)) => result,
            _ => Err(GroupError::CoordinatorNotAvailable),
        }
    }

    /// LeaveGroup: each member has its own outcome.
    pub async fn leave(
        &self,
        tenant: &LogicalClusterId,
        group_id: &str,
        leavers: Vec<Leaver>,
    ) -> Result<Vec<Left>, GroupError> {
        match self.request(tenant, group_id, Event::Leave(leavers)).await {
            Some(Reply::Leave(result)) => result,
            _ => Err(GroupError::CoordinatorNotAvailable),
        }
    }

    /// OffsetCommit: all of the offsets, or none.
    pub fn commit(&self, tenant: &LogicalClusterId, group_id: &str, commit: &Commit) -> Result<(), GroupError> {
        self.slot(tenant, group_id).with_shard(|shard, now| shard.commit(tenant, group_id, commit, now))?
    }

    /// Reads the committed offsets of a group; a group that does not exist has none.
    pub fn with_offsets<T>(
        &self,
        tenant: &LogicalClusterId,
        group_id: &str,
        read: impl FnOnce(&Offsets) -> T,
    ) -> Result<T, GroupError> {
        let none = Offsets::default();
        self.slot(tenant, group_id).with_shard(|shard, _| read(shard.offsets(tenant, group_id).unwrap_or(&none)))
    }

    /// The committed offsets of a group by topic and partition, if there is such a group.
    pub fn committed_offsets(
        &self,
        tenant: &LogicalClusterId,
        group_id: &str,
    ) -> Result<Option<Vec<CommittedPartition>>, GroupError> {
        self.slot(tenant, group_id).with_shard(|shard, _| {
            let offsets = shard.offsets(tenant, group_id)?;
            let copied = offsets.iter().map(|(topic, partition, offset)| (topic.to_owned(), partition, offset.clone()));
            Some(copied.collect())
        })
    }

    /// The groups of a tenant, in the order of their ids.
    pub fn list(&self, tenant: &LogicalClusterId) -> Result<Vec<Listing>, GroupError> {
        let mut listings = Vec::new();
        for slot in &self.slots {
            listings.extend(slot.with_shard(|shard, _| shard.list(tenant))?);
        }
        listings.sort_unstable_by(|left, right| left.group_id.cmp(&right.group_id));
        Ok(listings)
    }

    /// A group in detail, if there is such a group.
    pub fn describe(&self, tenant: &LogicalClusterId, group_id: &str) -> Result<Option<Description>, GroupError> {
        self.slot(tenant, group_id).with_shard(|shard, _| shard.describe(tenant, group_id))
    }

    /// Removes a group that has no members, with its offsets.
    pub fn delete_group(&self, tenant: &LogicalClusterId, group_id: &str) -> Result<(), GroupError> {
        self.slot(tenant, group_id).with_shard(|shard, now| shard.delete_group(tenant, group_id, now))?
    }

    /// Removes offsets of a group, each with its own outcome.
    pub fn delete_offsets(
        &self,
        tenant: &LogicalClusterId,
        group_id: &str,
        places: &[(String, i32)],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.slot(tenant, group_id).with_shard(|shard, now| shard.delete_offsets(tenant, group_id, places, now))?
    }

    /// A topic is gone, and with it what every group has committed for it. What cannot be removed now is not shown
    /// for a later topic of the same name, because that has another id.
    pub async fn on_topic_deleted(&self, tenant: &LogicalClusterId, topic: &str) {
        for slot in &self.slots {
            let removed = slot.with_shard(|shard, now| shard.on_topic_deleted(tenant, topic, now));
            if let Err(error) | Ok(Err(error)) = removed {
                error!(tenant = %tenant, topic.name = topic, %error, "cannot remove the committed offsets of a topic");
            }
        }
    }

    /// A tenant is gone, and with it all of its groups, whatever their members are doing.
    pub async fn on_tenant_deleted(&self, tenant: &LogicalClusterId) {
        for slot in &self.slots {
            if let Err(error) = slot.delete_tenant(tenant) {
                error!(tenant = %tenant, %error, "cannot remove the groups of a tenant");
            }
        }
    }

    /// Stops: whoever waits is sent away, timers end, logs are closed.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                error!(%error, "a timer of the group coordinator failed");
            }
        }
        for slot in &self.slots {
            let closing = Arc::clone(slot);
            if let Err(error) = tokio::task::spawn_blocking(move || closing.close()).await {
                error!(%error, "closing a shard of the group coordinator was interrupted");
            }
        }
    }

    async fn request(&self, tenant: &LogicalClusterId, group_id: &str, event: Event) -> Option<Reply> {
        let token = Token(self.next_token.fetch_add(1, Ordering::Relaxed));
        self.slot(tenant, group_id).request(tenant, group_id, token, event).await
    }

    /// The shard of a group: by a hash that is the same in every release.
    fn slot(&self, tenant: &LogicalClusterId, group_id: &str) -> &Arc<Slot> {
        let hash = crc32c::crc32c_append(crc32c::crc32c(tenant.as_str().as_bytes()), group_id.as_bytes());
        &self.slots[hash as usize % self.slots.len()]
    }

    /// How long a client's note on a committed offset may be.
    pub fn max_offset_metadata(&self) -> usize {
        self.max_offset_metadata
    }

    /// The instant as the coordinator sees it.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }
}

fn load(path: PathBuf, config: GroupConfig, now: Moment) -> Result<Shard, StartError> {
    let directory_failed = |source| StartError::Directory { path: path.clone(), source };
    fs::create_dir_all(&path).map_err(directory_failed)?;
    let failed = |source: LoadError| StartError::Load { path: path.clone(), source };
    let journal = LogJournal::open(&path.join("log"), now.wall_ms).map_err(|error| failed(error.into()))?;
    Shard::load(&path, Box::new(journal), config, now).map_err(failed)
}

/// A group stays in its shard for ever, so the number of shards may not change under it.
fn check_format(directory: &Path, shards: u32) -> Result<(), StartError> {
    let path = directory.join("format");
    let failed = |source| StartError::Directory { path: path.clone(), source };
    let expected = format!("{FORMAT} {shards}");
    fs::create_dir_all(directory).map_err(failed)?;
    match fs::read_to_string(&path) {
        Ok(text) if text.trim() == expected => Ok(()),
        Ok(text) => {
            let found = text.trim().chars().take(32).collect();
            Err(StartError::Format { path: path.clone(), found, expected })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write_format(directory, &path, &expected).map_err(failed)
        }
        Err(source) => Err(failed(source)),
    }
}

/// Writes the format file as a whole or not at all: a half-written one would stop every later start.
fn write_format(directory: &Path, path: &Path, text: &str) -> io::Result<()> {
    let new_path = directory.join("format.new");
    let mut file = File::create(&new_path)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&new_path, path)?;
    File::open(directory)?.sync_all()
}
