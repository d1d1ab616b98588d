//! The partitions that this broker hosts, kept in step with the metadata image.
//!
//! Promises: after `follow(image)` returned, every partition of the image is open here and every topic that is
//! gone is closed and its files are removed; following the same image twice changes nothing. A log that cannot
//! be opened takes its partition offline, not the broker. Never decides what should exist.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use millstream_api::ids::LogicalClusterId;
use millstream_log::{Log, LogConfig, OpenMode};
use millstream_metadata::delta::MetadataDelta;
use millstream_metadata::image::{MetadataImage, TopicImage};
use millstream_metadata::records::ConfigResource;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::clock::now_ms;
use crate::partition::{Partition, PartitionId};
use crate::topic_settings::TopicSettings;

/// All hosted partitions of one broker.
pub(crate) struct Partitions {
    directory: PathBuf,
    hosted: RwLock<HashMap<Uuid, Arc<HostedTopic>>>,
    /// The image that `hosted` reflects; the lock serialises followers.
    followed: Mutex<MetadataImage>,
    open_mode: OpenMode,
}

/// The partitions of one topic, by number. `None` is a partition whose log could not be opened.
pub(crate) struct HostedTopic {
    /// The configs of the topic as values.
    pub(crate) settings: TopicSettings,
    partitions: Vec<Option<Arc<Partition>>>,
}

impl HostedTopic {
    /// The partition of this number, if it is open here.
    pub(crate) fn partition(&self, partition: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(partition).ok()?)?.as_ref()
    }
}

impl Partitions {
    /// An empty registry over `directory`. `open_mode` says whether the last shutdown was clean.
    pub(crate) fn new(directory: PathBuf, open_mode: OpenMode) -> Self {
        Self { directory, hosted: RwLock::default(), followed: Mutex::new(MetadataImage::default()), open_mode }
    }

    /// The topic, if it is hosted here.
    pub(crate) fn topic(&self, topic_id: Uuid) -> Option<Arc<HostedTopic>> {
        self.hosted.read().unwrap_or_else(PoisonError::into_inner).get(&topic_id).cloned()
    }

    /// The partition, if it is open here.
    pub(crate) fn get(&self, topic_id: Uuid, partition: i32) -> Option<Arc<Partition>> {
        self.topic(topic_id)?.partition(partition).cloned()
    }

    /// Every open partition.
    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        hosted.values().flat_map(|topic| topic.partitions.iter().flatten().cloned()).collect()
    }

    /// How many partitions are open, and how many are not because their logs could not be opened.
    pub(crate) fn count(&self) -> (usize, usize) {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        let all = || hosted.values().flat_map(|topic| &topic.partitions);
        let open = all().flatten().count();
        (open, all().count() - open)
    }

    /// Whether every partition of the image is open or known to be offline. No, while it is worked on.
    pub(crate) fn has_followed(&self, image: &MetadataImage) -> bool {
        self.followed.try_lock().is_ok_and(|followed| followed.offset() >= image.offset())
    }

    /// Opens, reconfigures and closes until this broker reflects `image`. Blocking: it creates and reads files.
    ///
    /// An image older than the one that was followed last changes nothing.
    pub(crate) fn follow(&self, image: &MetadataImage) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if image.offset() < followed.offset() {
            return;
        }
        let delta = MetadataDelta::between(&followed, image);
        for removed in &delta.removed_topics {
            self.remove(&removed.tenant, &removed.topic);
        }
        let mut touched: Vec<(LogicalClusterId, Arc<TopicImage>)> = Vec::new();
        for changed in delta.changed_partitions {
            let is_new = touched.last().is_none_or(|(_, topic)| topic.id != changed.topic.id);
            if is_new {
                touched.push((changed.tenant, changed.topic));
            }
        }
        for (tenant, topic) in touched {
            self.open(&tenant, &topic);
        }
        for resource in delta.changed_configs {
            let ConfigResource::Topic { tenant, topic_id } = resource else { continue };
            let Some(topic) = image.topic_by_id(&tenant, topic_id) else { continue };
            self.reconfigure(topic);
        }
        *followed = image.clone();
    }

    /// Deletes what retention allows to go, partition by partition.
    pub(crate) fn apply_retention(&self) {
        for partition in self.all() {
            let deleted = partition.at_disk(|log| log.apply_retention(now_ms()));
            match deleted {
                Ok(deleted) => {
                    for segment in deleted {
                        info!(tenant = %partition.id.tenant, topic.id = %partition.id.topic_id,
                            partition = partition.id.partition, segment = ?segment, "deleted a segment by retention");
                    }
                }
                Err(error) => error!(tenant = %partition.id.tenant, topic.id = %partition.id.topic_id,
                    partition = partition.id.partition, %error, "cannot apply retention"),
            }
        }
    }

    /// Brings everything that was appended so far to the disk, partition by partition.
    pub(crate) fn flush(&self) {
        for partition in self.all() {
            if let Err(error) = partition.flush() {
                error!(tenant = %partition.id.tenant, topic.id = %partition.id.topic_id,
                    partition = partition.id.partition, %error, "cannot flush a log");
            }
        }
    }

    /// Closes every log so that the next start can trust its files. Says whether all of them closed cleanly.
    pub(crate) fn close(&self) -> bool {
        let mut clean = true;
        for partition in self.all() {
            let closed = partition.log().close();
            if let Err(error) = closed {
                clean = false;
                error!(tenant = %partition.id.tenant, topic.id = %partition.id.topic_id,
                    partition = partition.id.partition, %error, "cannot close a log cleanly");
            }
        }
        clean
    }

    fn open(&self, tenant: &LogicalClusterId, topic: &TopicImage) {
        let before = {
            let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
            hosted.get(&topic.id).cloned()
        };
        let settings = TopicSettings::new(&topic.configs);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (index, image) in topic.partitions.iter().enumerate() {
            let existing = before.as_ref().and_then(|before| before.partitions.get(index).cloned().flatten());
            if let Some(existing) = existing {
                existing.set_leader_epoch(image.leader_epoch);
                partitions.push(Some(existing));
                continue;
            }
            let id = PartitionId {
                tenant: tenant.clone(),
                topic_id: topic.id,
                partition: i32::try_from(index).unwrap_or(i32::MAX),
            };
            partitions.push(self.open_partition(id, image.leader_epoch, settings.log.clone()));
        }
        let mut hosted = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        hosted.insert(topic.id, Arc::new(HostedTopic { settings, partitions }));
    }

    fn open_partition(&self, id: PartitionId, leader_epoch: i32, config: LogConfig) -> Option<Arc<Partition>> {
        let directory = partition_directory(&self.directory, &id);
        match Log::open(&directory, config, self.open_mode, now_ms()) {
            Ok((log, recovery)) => {
                if recovery.truncated_bytes > 0 {
                    warn!(tenant = %id.tenant, topic.id = %id.topic_id, partition = id.partition,
                        bytes = recovery.truncated_bytes, "cut an incomplete tail off a log after an unclean stop");
                }
                Some(Arc::new(Partition::new(id, leader_epoch, log)))
            }
            Err(error) => {
                error!(tenant = %id.tenant, topic.id = %id.topic_id, partition = id.partition, %error,
                    "partition is offline: its log cannot be opened");
                None
            }
        }
    }

    fn reconfigure(&self, topic: &TopicImage) {
        let Some(before) = self.topic(topic.id) else { return };
        let settings = TopicSettings::new(&topic.configs);
        for partition in before.partitions.iter().flatten() {
            partition.log().update_config(settings.log.clone());
        }
        let after = HostedTopic { settings, partitions: before.partitions.clone() };
        self.hosted.write().unwrap_or_else(PoisonError::into_inner).insert(topic.id, Arc::new(after));
    }

    fn remove(&self, tenant: &LogicalClusterId, topic: &TopicImage) {
        let hosted = self.hosted.write().unwrap_or_else(PoisonError::into_inner).remove(&topic.id);
        if let Some(hosted) = hosted {
            for partition in hosted.partitions.iter().flatten() {
                partition.wake_all();
            }
        }
        let directory = topic_directory(&self.directory, tenant, topic.id);
        match std::fs::remove_dir_all(&directory) {
            Ok(()) => info!(tenant = %tenant, topic.id = %topic.id, "deleted the files of a deleted topic"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => error!(tenant = %tenant, topic.id = %topic.id, %error,
                "cannot delete the files of a deleted topic"),
        }
    }
}

fn topic_directory(root: &Path, tenant: &LogicalClusterId, topic_id: Uuid) -> PathBuf {
    root.join(tenant.as_str()).join(topic_id.to_string())
}

fn partition_directory(root: &Path, id: &PartitionId) -> PathBuf {
    topic_directory(root, &id.tenant, id.topic_id).join(id.partition.to_string())
}
