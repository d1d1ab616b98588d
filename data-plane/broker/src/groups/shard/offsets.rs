//! Committed offsets of a shard: commit, read, delete, expire.

use std::collections::BTreeMap;

use millstream_api::ids::LogicalClusterId;
use tracing::{error, info};

use super::{Entry, MAX_RECORDS_PER_APPEND, Shard};
use crate::groups::classic::group::{Group, State};
use crate::groups::error::GroupError;
use crate::groups::moment::Moment;
use crate::groups::offsets::{CommittedOffset, Offsets};
use crate::groups::record::EncodedRecord;

/// A commit of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Empty for a client that assigns itself.
    pub member_id: String,
    /// Names a static member across restarts.
    pub group_instance_id: Option<String>,
    /// Negative for a client that assigns itself.
    pub generation_id: i32,
    /// What is committed; each was checked against the topics of the cluster.
    pub offsets: Vec<NewOffset>,
}

/// One offset of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOffset {
    /// The topic as clients name it.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What to remember.
    pub committed: CommittedOffset,
}

/// A committed offset to be removed.
struct Removal {
    tenant: LogicalClusterId,
    group_id: String,
    topic: String,
    partition: i32,
}

impl Shard {
    /// Commits all of the offsets, or none.
    pub fn commit(
        &mut self,
        tenant: &LogicalClusterId,
        group_id: &str,
        commit: &Commit,
        now: Moment,
    ) -> Result<(), GroupError> {
        let has_room = self.has_room_for_group(tenant);
        match self.entry_mut(tenant, group_id) {
            Some(entry) => {
                let instance = commit.group_instance_id.as_deref();
                entry.group.validate_commit(&commit.member_id, instance, commit.generation_id)?;
                entry.group.on_commit(&commit.member_id, now);
            }
            None if commit.generation_id >= 0 => return Err(GroupError::IllegalGeneration),
            None if !has_room => return Err(GroupError::PolicyViolation),
            None => {}
        }
        let known = self.entry(tenant, group_id).map_or(0, |entry| entry.offsets.len());
        if known.saturating_add(commit.offsets.len()) > self.config.max_offsets_per_group {
            self.check_offsets_fit(tenant, group_id, commit)?;
        }
        let records: Vec<EncodedRecord> = commit
            .offsets
            .iter()
            .map(|new| EncodedRecord::offset(tenant, group_id, &new.topic, new.partition, &new.committed))
            .collect();
        self.append(&records, now)?;
        if commit.offsets.is_empty() {
            return Ok(());
        }
        let groups = self.tenants.entry(tenant.clone()).or_default();
        let entry = match groups.get_mut(group_id) {
            Some(entry) => entry,
            None => groups.entry(group_id.to_owned()).or_insert_with(|| Entry::new(Group::new(now))),
        };
        for new in &commit.offsets {
            entry.offsets.insert(&new.topic, new.partition, new.committed.clone());
        }
        Ok(())
    }

    /// The offsets of a group, if there is such a group.
    pub fn offsets(&self, tenant: &LogicalClusterId, group_id: &str) -> Option<&Offsets> {
        self.entry(tenant, group_id).map(|entry| &entry.offsets)
    }

    /// Removes offsets of a group, each with its own outcome. Topics that members read are left alone.
    pub fn delete_offsets(
        &mut self,
        tenant: &LogicalClusterId,
        group_id: &str,
        places: &[(String, i32)],
        now: Moment,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let entry = self.entry(tenant, group_id).ok_or(GroupError::GroupIdNotFound)?;
        let is_active = entry.group.state() != State::Empty;
        if is_active && !entry.group.uses_consumer_protocol() {
            return Err(GroupError::NonEmptyGroup);
        }
        let mut outcomes = Vec::with_capacity(places.len());
        let mut removals = Vec::new();
        for (topic, partition) in places {
            if entry.group.is_subscribed_to(topic) {
                outcomes.push(Err(GroupError::GroupSubscribedToTopic));
                continue;
            }
            if entry.offsets.get(topic, *partition).is_some() {
                removals.push(Removal {
                    tenant: tenant.clone(),
                    group_id: group_id.to_owned(),
                    topic: topic.clone(),
                    partition: *partition,
                });
            }
            outcomes.push(Ok(()));
        }
        self.remove_offsets(removals, now)?;
        Ok(outcomes)
    }

    /// A topic is gone, and with it what every group of the tenant has committed for it.
    pub fn on_topic_deleted(&mut self, tenant: &LogicalClusterId, topic: &str, now: Moment) -> Result<(), GroupError> {
        let mut removals = Vec::new();
        for (group_id, entry) in self.tenants.get(tenant).into_iter().flatten() {
            removals.extend(entry.offsets.topic(topic).map(|(partition, _)| Removal {
                tenant: tenant.clone(),
                group_id: group_id.clone(),
                topic: topic.to_owned(),
                partition,
            }));
        }
        self.remove_offsets(removals, now)
    }

    /// Removes offsets that nobody has used for too long, then groups of which nothing is left.
    pub fn expire_offsets(&mut self, now: Moment) {
        let mut expired = Vec::new();
        for (tenant, groups) in &self.tenants {
            for (group_id, entry) in groups {
                let is_expired =
                    |topic: &str, offset: &CommittedOffset| self.is_expired(&entry.group, topic, offset, now);
                expired.extend(entry.offsets.iter().filter(|(topic, _, offset)| is_expired(topic, offset)).map(
                    |(topic, partition, _)| Removal {
                        tenant: tenant.clone(),
                        group_id: group_id.clone(),
                        topic: topic.to_owned(),
                        partition,
                    },
                ));
            }
        }
        let count = expired.len();
        if count > 0 {
            match self.remove_offsets(expired, now) {
                Ok(()) => info!("removed {count} committed offsets that nobody used for too long"),
                Err(error) => error!(%error, "cannot remove expired offsets"),
            }
        }
        self.remove_unused_groups(now);
    }

    fn is_expired(&self, group: &Group, topic: &str, committed: &CommittedOffset, now: Moment) -> bool {
        let is_read_now = group.state() != State::Empty && group.is_subscribed_to(topic);
        if is_read_now {
            return false;
        }
        let unused_since_ms = match (group.protocol_type(), group.state()) {
            // Nobody ever joined: an administrator's or a self-assigned consumer's offsets.
            (None, _) => committed.committed_at_ms,
            (Some(_), State::Empty) => group.state_since_ms().max(committed.committed_at_ms),
            (Some(_), State::Stable) if group.subscribed_topics().is_some() => committed.committed_at_ms,
            // Members are on the move, or read what cannot be known.
            (Some(_), _) => return false,
        };
        let retention_ends_ms = unused_since_ms.saturating_add(self.config.offsets_retention_ms);
        now.wall_ms >= committed.expires_at_ms.unwrap_or(retention_ends_ms)
    }

    fn remove_unused_groups(&mut self, now: Moment) {
        let is_unused = |entry: &Entry| entry.group.is_unused() && entry.offsets.is_empty();
        let mut unused = Vec::new();
        for (tenant, groups) in &self.tenants {
            let ids = groups.iter().filter(|(_, entry)| is_unused(entry)).map(|(group_id, _)| group_id.clone());
            unused.extend(ids.map(|group_id| (tenant.clone(), group_id)));
        }
        for chunk in unused.chunks(MAX_RECORDS_PER_APPEND) {
            let records: Vec<EncodedRecord> =
                chunk.iter().map(|(tenant, group_id)| EncodedRecord::no_group(tenant, group_id)).collect();
            if self.append(&records, now).is_err() {
                return;
            }
            for (tenant, group_id) in chunk {
                self.forget(tenant, group_id);
            }
        }
    }

    fn remove_offsets(&mut self, removals: Vec<Removal>, now: Moment) -> Result<(), GroupError> {
        for chunk in removals.chunks(MAX_RECORDS_PER_APPEND) {
            let records: Vec<EncodedRecord> = chunk
                .iter()
                .map(|gone| EncodedRecord::no_offset(&gone.tenant, &gone.group_id, &gone.topic, gone.partition))
                .collect();
            self.append(&records, now)?;
            for gone in chunk {
                if let Some(entry) = self.entry_mut(&gone.tenant, &gone.group_id) {
                    entry.offsets.remove(&gone.topic, gone.partition);
                }
                self.forget_if_nothing_is_left(&gone.tenant, &gone.group_id);
            }
        }
        Ok(())
    }

    /// The exact count, for a commit that might be too much: most of it is usually known already.
    fn check_offsets_fit(&self, tenant: &LogicalClusterId, group_id: &str, commit: &Commit) -> Result<(), GroupError> {
        let known = self.offsets(tenant, group_id);
        let is_new = |place: &(&str, i32)| known.is_none_or(|offsets| offsets.get(place.0, place.1).is_none());
        let places = commit.offsets.iter().map(|new| ((new.topic.as_str(), new.partition), ()));
        let distinct: BTreeMap<(&str, i32), ()> = places.collect();
        let added = distinct.keys().filter(|place| is_new(place)).count();
        if known.map_or(0, Offsets::len) + added > self.config.max_offsets_per_group {
            return Err(GroupError::PolicyViolation);
        }
        Ok(())
    }
}
