//! Brings a shard back: the snapshot first, then the journal from where the snapshot ends.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use millstream_api::ids::LogicalClusterId;

use super::{Entry, Shard};
use crate::groups::classic::group::{Group, StoredGroup};
use crate::groups::config::GroupConfig;
use crate::groups::journal::{Journal, JournalError};
use crate::groups::moment::Moment;
use crate::groups::offsets::Offsets;
use crate::groups::record::{self, Key, RecordError, Value};
use crate::groups::snapshot::{Snapshot, SnapshotError};

/// Why a shard cannot be brought back.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory cannot be made.
    #[error("cannot use directory {directory}")]
    Directory {
        /// Which.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The snapshot cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record of the snapshot is none.
    #[error("the snapshot of consumer groups holds a bad record")]
    Record(#[from] RecordError),
}

#[derive(Default)]
struct Loading {
    groups: BTreeMap<(LogicalClusterId, String), LoadingGroup>,
}

#[derive(Default)]
struct LoadingGroup {
    stored: Option<StoredGroup>,
    offsets: Offsets,
}

impl Loading {
    fn apply(&mut self, key: Key, value: Value) {
        let (tenant, group_id, place) = match key {
            Key::Group { tenant, group_id } => (tenant, group_id, None),
            Key::Offset { tenant, group_id, topic, partition } => (tenant, group_id, Some((topic, partition))),
        };
        let group = self.groups.entry((tenant, group_id)).or_default();
        match (place, value) {
            (None, Value::Group(stored)) => group.stored = Some(stored),
            (None, _) => group.stored = None,
            (Some((topic, partition)), Value::Offset(committed)) => group.offsets.insert(&topic, partition, committed),
            (Some((topic, partition)), _) => {
                group.offsets.remove(&topic, partition);
            }
        }
    }
}

impl Shard {
    /// Reads everything that was written down before.
    pub fn load(
        directory: &Path,
        journal: Box<dyn Journal>,
        config: GroupConfig,
        now: Moment,
    ) -> Result<Self, LoadError> {
        let mut loading = Loading::default();
        let mut from = 0;
        let mut last_snapshot_bytes = 0;
        let snapshot = Snapshot::read(directory)?;
        if let Some(snapshot) = &snapshot {
            from = snapshot.next_offset;
            snapshot.visit(|key, value| {
                last_snapshot_bytes += (key.len() + value.len()) as u64;
                let (key, value) = record::decode(key, Some(value))?;
                loading.apply(key, value);
                Ok::<(), LoadError>(())
            })?;
        }
        let (mut records_since_snapshot, mut bytes_since_snapshot) = (0, 0);
        let lost_its_end = journal.end_offset() < from;
        let replay_from = if lost_its_end { journal.end_offset() } else { from };
        journal.replay(replay_from, &mut |offset, key, value| {
            records_since_snapshot += 1;
            bytes_since_snapshot += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
            let decoded = record::decode(key, value).map_err(|source| JournalError::Record { offset, source })?;
            loading.apply(decoded.0, decoded.1);
            Ok(())
        })?;

        let mut shard = Self {
            directory: directory.to_owned(),
            config,
            journal,
            tenants: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            records_since_snapshot,
            bytes_since_snapshot,
            last_snapshot_bytes,
        };
        for ((tenant, group_id), loaded) in loading.groups {
            shard.adopt(tenant, group_id, loaded, now);
        }
        // The journal lost its end, as it may with the power, but the snapshot knows better. New records get offsets
        // that the snapshot claims, so it must be written again before the first of them.
        if lost_its_end {
            let pending = shard.prepare_snapshot()?;
            pending.write()?;
        }
        Ok(shard)
    }

    fn adopt(&mut self, tenant: LogicalClusterId, group_id: String, loaded: LoadingGroup, now: Moment) {
        let is_stored = loaded.stored.is_some();
        if !is_stored && loaded.offsets.is_empty() {
            return;
        }
        let group = match loaded.stored {
            Some(stored) => Group::restore(stored, now),
            None => Group::new(now),
        };
        let wake_at_ms = group.next_deadline_ms();
        let entry = Entry { offsets: loaded.offsets, is_stored, ..Entry::new(group) };
        self.tenants.entry(tenant.clone()).or_default().insert(group_id.clone(), entry);
        if let Some(wake_at_ms) = wake_at_ms {
            self.wake_at(&tenant, &group_id, wake_at_ms);
        }
    }
}
