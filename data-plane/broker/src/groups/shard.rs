//! One shard of the group coordinator: groups, their offsets, and the journal that both are written to.
//!
//! Promises: an answer that shows a new generation, an assignment or a committed offset leaves only after its record
//! was appended; what was appended is there after a restart. Synchronous and without a clock: the coordinator calls
//! it under a lock and passes the instant. Never waits.
//!
//! Offsets are appended first and applied then. A group is changed first, because only the change tells what to
//! write; if the append fails, the answers of the change are withheld and the group is written with the next one.

mod admin;
mod load;
mod offsets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use millstream_api::ids::LogicalClusterId;
use tracing::{error, info};

use super::classic::event::{Effects, Event, JoinRefused, Left, Reply, Token};
use super::classic::group::{Group, State};
use super::config::GroupConfig;
use super::error::{ErrorChain, GroupError};
use super::journal::{Journal, JournalError};
use super::moment::Moment;
use super::offsets::Offsets;
use super::record::EncodedRecord;
use super::snapshot::{self, SnapshotBuilder, SnapshotError};

pub use admin::{Description, Listing, MemberDescription};
pub use load::LoadError;
pub use offsets::{Commit, NewOffset};

/// Records of one append when many are written at once.
const MAX_RECORDS_PER_APPEND: usize = 1_000;

/// One shard.
pub struct Shard {
    directory: PathBuf,
    config: GroupConfig,
    journal: Box<dyn Journal>,
    tenants: BTreeMap<LogicalClusterId, BTreeMap<String, Entry>>,
    /// When `on_time` is wanted, and for which group.
    deadlines: BTreeSet<(u64, LogicalClusterId, String)>,
    records_since_snapshot: u64,
    bytes_since_snapshot: u64,
    last_snapshot_bytes: u64,
}

/// One group with what belongs to it.
struct Entry {
    group: Group,
    offsets: Offsets,
    /// A record of the group is in the journal or the snapshot.
    is_stored: bool,
    /// The last append of the group failed: what is stored is older than what is here.
    is_dirty: bool,
    /// The group's place in `deadlines`.
    wake_at_ms: Option<u64>,
}

impl Entry {
    fn new(group: Group) -> Self {
        Self { group, offsets: Offsets::default(), is_stored: false, is_dirty: false, wake_at_ms: None }
    }

    fn is_forgettable(&self) -> bool {
        self.group.is_unused() && self.offsets.is_empty() && !self.is_stored
    }
}

/// A snapshot that waits to be written to disk, outside of the shard's lock.
pub struct PendingSnapshot {
    directory: PathBuf,
    next_offset: i64,
    records: u64,
    bytes: u64,
    contents: Vec<u8>,
}

impl PendingSnapshot {
    /// Writes the file; returns when it would survive the loss of power.
    pub fn write(&self) -> Result<(), SnapshotError> {
        snapshot::write(&self.directory, &self.contents)
    }
}

impl Shard {
    /// Handles one request of a client.
    pub fn step(
        &mut self,
        tenant: &LogicalClusterId,
        group_id: &str,
        token: Token,
        event: Event,
        now: Moment,
    ) -> Vec<(Token, Reply)> {
        if self.entry(tenant, group_id).is_none() {
            let founds_group = matches!(&event, Event::Join(join) if join.member_id.is_empty());
            if !founds_group {
                return refuse(token, event, GroupError::UnknownMemberId);
            }
            if !self.has_room_for_group(tenant) {
                return refuse(token, event, GroupError::PolicyViolation);
            }
        }
        let groups = self.tenants.entry(tenant.clone()).or_default();
        let entry = match groups.get_mut(group_id) {
            Some(entry) => entry,
            None => groups.entry(group_id.to_owned()).or_insert_with(|| Entry::new(Group::new(now))),
        };
        let effects = entry.group.step(token, event, now, &self.config);
        self.settle(tenant, group_id, effects, now)
    }

    /// Does everything that is due.
    pub fn on_time(&mut self, now: Moment) -> Vec<(Token, Reply)> {
        let mut replies = Vec::new();
        while let Some((deadline_ms, tenant, group_id)) = self.deadlines.pop_first() {
            if deadline_ms > now.monotonic_ms {
                self.deadlines.insert((deadline_ms, tenant, group_id));
                break;
            }
            let Some(entry) = self.tenants.get_mut(&tenant).and_then(|groups| groups.get_mut(&group_id)) else {
                continue;
            };
            entry.wake_at_ms = None;
            let mut effects = entry.group.on_time(now, &self.config);
            // Whatever is left is for a later instant, or this loop would never end.
            effects.wake_at_ms = effects.wake_at_ms.map(|wake| wake.max(now.monotonic_ms + 1));
            replies.extend(self.settle(&tenant, &group_id, effects, now));
        }
        replies
    }

    /// The next instant at which `on_time` has something to do.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline_ms, ..)| *deadline_ms)
    }

    /// Whether the journal has grown enough for a snapshot. A large state must grow by half of its own size, so that
    /// writing snapshots costs no more than a constant share of what is appended.
    pub fn needs_snapshot(&self) -> bool {
        let has_grown = self.records_since_snapshot >= self.config.snapshot_after_records
            || self.bytes_since_snapshot >= self.config.snapshot_after_bytes;
        has_grown && self.bytes_since_snapshot >= self.last_snapshot_bytes / 2
    }

    /// Everything alive, ready to be written.
    pub fn prepare_snapshot(&mut self) -> Result<PendingSnapshot, JournalError> {
        let next_offset = self.journal.cut_point()?;
        let mut builder = SnapshotBuilder::new(next_offset);
        for (tenant, groups) in &self.tenants {
            for (group_id, entry) in groups {
                if entry.is_stored {
                    builder.add(&EncodedRecord::group(tenant, group_id, &entry.group.to_stored()));
                }
                for (topic, partition, committed) in entry.offsets.iter() {
                    builder.add(&EncodedRecord::offset(tenant, group_id, topic, partition, committed));
                }
            }
        }
        Ok(PendingSnapshot {
            directory: self.directory.clone(),
            next_offset,
            records: self.records_since_snapshot,
            bytes: self.bytes_since_snapshot,
            contents: builder.finish(),
        })
    }

    /// A snapshot is on disk: the journal before it is not needed any more.
    pub fn on_snapshot_written(&mut self, written: &PendingSnapshot) -> Result<(), JournalError> {
        self.records_since_snapshot -= written.records;
        self.bytes_since_snapshot -= written.bytes;
        self.last_snapshot_bytes = written.contents.len() as u64;
        self.journal.discard_before(written.next_offset)
    }

    /// Ends every group in memory (what is stored stays) and closes the journal.
    pub fn close(&mut self) -> Vec<(Token, Reply)> {
        let mut replies = Vec::new();
        for entry in self.tenants.values_mut().flat_map(BTreeMap::values_mut) {
            replies.extend(entry.group.kill().replies);
        }
        self.tenants.clear();
        self.deadlines.clear();
        if let Err(error) = self.journal.close() {
            error!(error = %ErrorChain(&error), path = %self.directory.display(), "cannot close the log of consumer groups");
        }
        replies
    }

    /// Writes down what has to be written, withholds answers if that fails, and takes note of the next deadline.
    fn settle(
        &mut self,
        tenant: &LogicalClusterId,
        group_id: &str,
        effects: Effects,
        now: Moment,
    ) -> Vec<(Token, Reply)> {
        let mut replies = effects.replies;
        let Some(entry) = self.tenants.get_mut(tenant).and_then(|groups| groups.get_mut(group_id)) else {
            return replies;
        };
        // During a join phase nobody is told anything that is not stored, so an earlier failure can wait.
        let is_overdue = entry.is_dirty && entry.group.state() != State::PreparingRebalance;
        if effects.persist || is_overdue {
            let record = EncodedRecord::group(tenant, group_id, &entry.group.to_stored());
            let (state, generation_id) = (entry.group.state(), entry.group.generation_id());
            let members = entry.group.members().count();
            let written = self.append(&[record], now);
            if written.is_err() {
                for (_, reply) in &mut replies {
                    *reply = reply.refused(GroupError::CoordinatorNotAvailable);
                }
            } else {
                info!(
                    tenant = %tenant, group.id = group_id, group.generation = generation_id, group.members = members,
                    "group {group_id} is {state} in generation {generation_id} with {members} members"
                );
            }
            if let Some(entry) = self.entry_mut(tenant, group_id) {
                entry.is_dirty = written.is_err();
                entry.is_stored |= written.is_ok();
            }
        }
        if let Some(wake_at_ms) = effects.wake_at_ms {
            self.wake_at(tenant, group_id, wake_at_ms);
        }
        self.forget_if_nothing_is_left(tenant, group_id);
        replies
    }

    /// Appends records; a failure is logged here, where it is known best.
    fn append(&mut self, records: &[EncodedRecord], now: Moment) -> Result<(), GroupError> {
        if records.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.journal.append(records, now.wall_ms) {
            error!(error = %ErrorChain(&error), path = %self.directory.display(), "cannot write the log of consumer groups");
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.records_since_snapshot += records.len() as u64;
        self.bytes_since_snapshot += records.iter().map(|record| record.size_bytes() as u64).sum::<u64>();
        Ok(())
    }

    fn wake_at(&mut self, tenant: &LogicalClusterId, group_id: &str, wake_at_ms: u64) {
        let Some(entry) = self.tenants.get_mut(tenant).and_then(|groups| groups.get_mut(group_id)) else { return };
        if entry.wake_at_ms.is_some_and(|known| known <= wake_at_ms) {
            return;
        }
        if let Some(later) = entry.wake_at_ms.replace(wake_at_ms) {
            self.deadlines.remove(&(later, tenant.clone(), group_id.to_owned()));
        }
        self.deadlines.insert((wake_at_ms, tenant.clone(), group_id.to_owned()));
    }

    fn forget_if_nothing_is_left(&mut self, tenant: &LogicalClusterId, group_id: &str) {
        if self.entry(tenant, group_id).is_some_and(Entry::is_forgettable) {
            self.forget(tenant, group_id);
        }
    }

    fn forget(&mut self, tenant: &LogicalClusterId, group_id: &str) -> Option<Entry> {
        let groups = self.tenants.get_mut(tenant)?;
        let entry = groups.remove(group_id)?;
        if groups.is_empty() {
            self.tenants.remove(tenant);
        }
        if let Some(wake_at_ms) = entry.wake_at_ms {
            self.deadlines.remove(&(wake_at_ms, tenant.clone(), group_id.to_owned()));
        }
        Some(entry)
    }

    fn entry(&self, tenant: &LogicalClusterId, group_id: &str) -> Option<&Entry> {
        self.tenants.get(tenant)?.get(group_id)
    }

    fn entry_mut(&mut self, tenant: &LogicalClusterId, group_id: &str) -> Option<&mut Entry> {
        self.tenants.get_mut(tenant)?.get_mut(group_id)
    }

    /// The bound is the tenant's, divided by the shards.
    fn has_room_for_group(&self, tenant: &LogicalClusterId) -> bool {
        let shards = usize::try_from(self.config.shards).unwrap_or(1).max(1);
        let groups = self.tenants.get(tenant).map_or(0, BTreeMap::len);
        groups < self.config.max_groups_per_tenant.div_ceil(shards)
    }
}

/// The answer to a request for a group that is not there or may not be made.
fn refuse(token: Token, event: Event, error: GroupError) -> Vec<(Token, Reply)> {
    let reply = match event {
        Event::Join(join) => Reply::Join(Err(JoinRefused { member_id: join.member_id, error })),
        Event::Sync(_) => Reply::Sync(Err(error)),
        Event::Heartbeat(_) => Reply::Heartbeat(Err(error)),
        Event::Leave(leavers) => {
            let left = leavers.into_iter().map(|leaver| Left { leaver, error: Some(error) });
            Reply::Leave(Ok(left.collect()))
        }
        Event::Abandon => return Vec::new(),
    };
    vec![(token, reply)]
}
