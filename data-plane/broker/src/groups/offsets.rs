//! The committed offsets of one group, by topic name and partition. Remembers and counts; who may commit, and when
//! offsets expire, is decided by the shard.

use std::collections::BTreeMap;

use uuid::Uuid;

/// How far a group has read one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: i64,
    /// Leader epoch of the last record read, -1 if unknown.
    pub leader_epoch: i32,
    /// The client's own note.
    pub metadata: String,
    /// Wall time of the commit.
    pub committed_at_ms: i64,
    /// Wall time after which the offset lapses whatever the group does; old clients may ask for that.
    pub expires_at_ms: Option<i64>,
    /// The topic's id when it was committed; nil if unknown. A topic made anew under the same name has another one.
    pub topic_id: Uuid,
}

/// The committed offsets of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offsets {
    topics: BTreeMap<String, BTreeMap<i32, CommittedOffset>>,
    count: usize,
}

impl Offsets {
    /// Partitions with an offset.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing is committed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Remembers an offset.
    pub fn insert(&mut self, topic: &str, partition: i32, committed: CommittedOffset) {
        let partitions = match self.topics.get_mut(topic) {
            Some(partitions) => partitions,
            None => self.topics.entry(topic.to_owned()).or_default(),
        };
        if partitions.insert(partition, committed).is_none() {
            self.count += 1;
        }
    }

    /// Forgets an offset; says whether there was one.
    pub fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(partitions) = self.topics.get_mut(topic) else { return false };
        let was_there = partitions.remove(&partition).is_some();
        if was_there {
            self.count -= 1;
        }
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        was_there
    }

    /// The offset of one partition.
    pub fn get(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.topics.get(topic)?.get(&partition)
    }

    /// The partitions of one topic, in order.
    pub fn topic(&self, topic: &str) -> impl Iterator<Item = (i32, &CommittedOffset)> {
        self.topics.get(topic).into_iter().flatten().map(|(partition, committed)| (*partition, committed))
    }

    /// Everything, in the order of topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, &CommittedOffset)> {
        self.topics.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(|(partition, committed)| (topic.as_str(), *partition, committed))
        })
    }
}
