//! What differs between two images, in the form a broker acts on: open, close, reconfigure.
//!
//! Computed from the images alone, so that a reader who slept through some images in between misses nothing. What the
//! two images share is skipped by comparing pointers; the cost follows the size of the change. It relies on topic ids
//! never being used twice: a topic whose id is in both images is the same topic, and topics do not lose partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_api::ids::LogicalClusterId;

use crate::image::{ConfigValues, MetadataImage, PartitionImage, TenantImage, TopicImage};
use crate::records::{BrokerId, ConfigResource};

/// A partition that is new or different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPartition {
    /// The tenant that owns it.
    pub tenant: LogicalClusterId,
    /// Its topic as it is now.
    pub topic: Arc<TopicImage>,
    /// Its number.
    pub partition: i32,
    /// What it was, if it existed.
    pub before: Option<Arc<PartitionImage>>,
    /// What it is.
    pub after: Arc<PartitionImage>,
}

/// A topic that is gone. A topic deleted and created again under its name is gone under its old id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedTopic {
    /// The tenant that owned it.
    pub tenant: LogicalClusterId,
    /// What it was.
    pub topic: Arc<TopicImage>,
}

/// What differs between two images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataDelta {
    /// Topics to close and delete. Act on these first: a new topic may have the name of an old one.
    pub removed_topics: Vec<RemovedTopic>,
    /// Topics that did not exist before; their partitions are in `changed_partitions` too.
    pub added_topics: Vec<(LogicalClusterId, Arc<TopicImage>)>,
    /// Partitions to open, or to lead or follow differently.
    pub changed_partitions: Vec<ChangedPartition>,
    /// Resources whose configs changed. New topics are not listed, removed resources neither.
    pub changed_configs: Vec<ConfigResource>,
    /// Tenants whose ACLs changed.
    pub changed_acls: Vec<LogicalClusterId>,
    /// Brokers that registered, changed or left.
    pub changed_brokers: Vec<BrokerId>,
}

impl MetadataDelta {
    /// What changed from `before` to `after`.
    pub fn between(before: &MetadataImage, after: &MetadataImage) -> Self {
        let mut delta = Self::default();
        each_difference(before.broker_map(), after.broker_map(), |broker_id, _, _| {
            delta.changed_brokers.push(*broker_id);
        });
        each_difference(before.broker_config_map(), after.broker_config_map(), |broker_id, _, _| {
            delta.changed_configs.push(ConfigResource::Broker { broker_id: *broker_id });
        });
        if before.all_broker_configs() != after.all_broker_configs() {
            delta.changed_configs.push(ConfigResource::AllBrokers);
        }
        let nothing = Arc::new(TenantImage::default());
        each_difference(before.tenant_map(), after.tenant_map(), |tenant, old, new| {
            delta.add_tenant(tenant, old.unwrap_or(&nothing), new.unwrap_or(&nothing));
        });
        delta
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add_tenant(&mut self, tenant: &LogicalClusterId, before: &TenantImage, after: &TenantImage) {
        if before.configs() != after.configs() {
            self.changed_configs.push(ConfigResource::Tenant { tenant: tenant.clone() });
        }
        if !Arc::ptr_eq(before.acls(), after.acls()) && before.acls() != after.acls() {
            self.changed_acls.push(tenant.clone());
        }
        each_difference(before.topics_by_id(), after.topics_by_id(), |topic_id, old, new| match (old, new) {
            (Some(old), None) => {
                self.removed_topics.push(RemovedTopic { tenant: tenant.clone(), topic: Arc::clone(old) });
            }
            (None, Some(new)) => {
                self.added_topics.push((tenant.clone(), Arc::clone(new)));
                self.add_partitions(tenant, &[], new);
            }
            (Some(old), Some(new)) => {
                self.add_partitions(tenant, &old.partitions, new);
                if !same_configs(&old.configs, &new.configs) {
                    self.changed_configs.push(ConfigResource::Topic { tenant: tenant.clone(), topic_id: *topic_id });
                }
            }
            (None, None) => {}
        });
    }

    fn add_partitions(&mut self, tenant: &LogicalClusterId, before: &[Arc<PartitionImage>], topic: &Arc<TopicImage>) {
        for (index, after) in topic.partitions.iter().enumerate() {
            let before = before.get(index);
            let unchanged = before.is_some_and(|before| Arc::ptr_eq(before, after) || before == after);
            if unchanged {
                continue;
            }
            self.changed_partitions.push(ChangedPartition {
                tenant: tenant.clone(),
                topic: Arc::clone(topic),
                partition: i32::try_from(index).unwrap_or(i32::MAX),
                before: before.cloned(),
                after: Arc::clone(after),
            });
        }
    }
}

fn same_configs(before: &Arc<ConfigValues>, after: &Arc<ConfigValues>) -> bool {
    Arc::ptr_eq(before, after) || before == after
}

/// Calls `visit` with every key whose value differs: removed and changed keys first, then added ones.
fn each_difference<K: Ord, V: PartialEq>(
    before: &Arc<BTreeMap<K, Arc<V>>>,
    after: &Arc<BTreeMap<K, Arc<V>>>,
    mut visit: impl FnMut(&K, Option<&Arc<V>>, Option<&Arc<V>>),
) {
    if Arc::ptr_eq(before, after) {
        return;
    }
    for (key, old) in before.iter() {
        let new = after.get(key);
        let unchanged = new.is_some_and(|new| Arc::ptr_eq(old, new) || old == new);
        if !unchanged {
            visit(key, Some(old), new);
        }
    }
    for (key, new) in after.iter() {
        if !before.contains_key(key) {
            visit(key, None, Some(new));
        }
    }
}
