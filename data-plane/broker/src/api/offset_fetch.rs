//! OffsetFetch: how far groups have read. A partition without a committed offset is answered with -1 and no error.
//!
//! There are no transactions, so every committed offset is stable and `require_stable` changes nothing.

use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::image::{MetadataImage, TopicImage};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use millstream_protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

use super::RequestContext;
use crate::groups::error::GroupError;
use crate::groups::offsets::{CommittedOffset, Offsets};

/// First version that has an error for the whole group; before, every partition repeats it.
const FIRST_GROUP_ERROR_VERSION: i16 = 2;
/// First version that asks for many groups.
const FIRST_BATCH_VERSION: i16 = 8;
/// "There is none" for an offset or an epoch.
const NONE: i64 = -1;

pub(super) async fn handle<'a>(ctx: &RequestContext<'_>, request: OffsetFetchRequest<'a>) -> OffsetFetchResponse<'a> {
    let image = ctx.broker.metadata.image();
    if ctx.api_version >= FIRST_BATCH_VERSION {
        let groups = request.groups.into_iter().map(|group| fetch(ctx, &image, group));
        return OffsetFetchResponse { groups: groups.collect(), ..OffsetFetchResponse::default() };
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..Default::default()
        });
        topics.collect()
    });
    let group = OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
    let fetched = fetch(ctx, &image, group);
    let has_group_error = ctx.api_version >= FIRST_GROUP_ERROR_VERSION;
    OffsetFetchResponse {
        error_code: if has_group_error { fetched.error_code } else { ErrorCode::None.code() },
        topics: fetched.topics.into_iter().map(to_single).collect(),
        ..OffsetFetchResponse::default()
    }
}

fn fetch<'a>(
    ctx: &RequestContext<'_>,
    image: &MetadataImage,
    group: OffsetFetchRequestGroup<'a>,
) -> OffsetFetchResponseGroup<'a> {
    let tenant = &ctx.authenticated.credential.tenant;
    if let Err(code) = ctx.check(Operation::Describe, KafkaResource::Group, &group.group_id) {
        return refuse(group, code);
    }
    let check = |name: &str| ctx.check(Operation::Describe, KafkaResource::Topic, name);
    let current = |name: &str| image.topic_by_name(tenant, name).map(AsRef::as_ref);
    let topics = match group.topics {
        Some(wanted) => {
            let read = ctx.broker.groups.with_offsets(tenant, &group.group_id, |offsets| {
                let read = wanted.iter().map(|topic| match check(&topic.name) {
                    Ok(()) => read_topic(offsets, topic, current(&topic.name)),
                    Err(code) => refuse_topic(topic, code),
                });
                read.collect::<Vec<_>>()
            });
            read.map(|read| {
                let named = wanted.into_iter().zip(read).map(|(topic, partitions)| OffsetFetchResponseTopics {
                    name: topic.name,
                    partitions,
                    ..Default::default()
                });
                named.collect()
            })
            .map_err(|error| (error, Vec::new()))
        }
        None => ctx
            .broker
            .groups
            .with_offsets(tenant, &group.group_id, |offsets| read_all(offsets, current, |name| check(name).is_ok()))
            .map_err(|error| (error, Vec::new())),
    };
    let (topics, error_code) = match topics {
        Ok(topics) => (topics, ErrorCode::None),
        Err((error, topics)) => (topics, GroupError::code(error)),
    };
    OffsetFetchResponseGroup { group_id: group.group_id, topics, error_code: error_code.code() }
}

/// A group of which nothing may be seen. Before there was an error for a whole group, each partition has it.
fn refuse<'a>(group: OffsetFetchRequestGroup<'a>, code: ErrorCode) -> OffsetFetchResponseGroup<'a> {
    let topics = group.topics.unwrap_or_default().into_iter().map(|topic| OffsetFetchResponseTopics {
        partitions: refuse_topic(&topic, code),
        name: topic.name,
        ..Default::default()
    });
    OffsetFetchResponseGroup { group_id: group.group_id, topics: topics.collect(), error_code: code.code() }
}

fn refuse_topic(wanted: &OffsetFetchRequestTopics<'_>, code: ErrorCode) -> Vec<OffsetFetchResponsePartitions<'static>> {
    let partitions = wanted.partition_indexes.iter();
    let refused = partitions
        .map(|partition| OffsetFetchResponsePartitions { error_code: code.code(), ..respond(*partition, None) });
    refused.collect()
}

fn read_topic(
    offsets: &Offsets,
    wanted: &OffsetFetchRequestTopics<'_>,
    current: Option<&TopicImage>,
) -> Vec<OffsetFetchResponsePartitions<'static>> {
    let partitions = wanted.partition_indexes.iter().map(|partition| {
        let committed = offsets.get(&wanted.name, *partition);
        respond(*partition, committed.filter(|committed| is_of(committed, current)))
    });
    partitions.collect()
}

fn read_all<'a, 'i>(
    offsets: &Offsets,
    current: impl Fn(&str) -> Option<&'i TopicImage>,
    may_see: impl Fn(&str) -> bool,
) -> Vec<OffsetFetchResponseTopics<'a>> {
    let mut topics: Vec<OffsetFetchResponseTopics<'a>> = Vec::new();
    for (topic, partition, committed) in offsets.iter() {
        if !may_see(topic) || !is_of(committed, current(topic)) {
            continue;
        }
        if topics.last().is_none_or(|last| last.name != topic) {
            topics.push(OffsetFetchResponseTopics { name: topic.to_owned().into(), ..Default::default() });
        }
        if let Some(last) = topics.last_mut() {
            last.partitions.push(respond(partition, Some(committed)));
        }
    }
    topics
}

/// Whether the offset was committed for the topic that has the name now, not for an earlier one of the same name.
fn is_of(committed: &CommittedOffset, current: Option<&TopicImage>) -> bool {
    committed.topic_id.is_nil() || current.is_some_and(|current| current.id == committed.topic_id)
}

fn respond(partition_index: i32, committed: Option<&CommittedOffset>) -> OffsetFetchResponsePartitions<'static> {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: committed.map_or(NONE, |committed| committed.offset),
        committed_leader_epoch: committed.map_or(-1, |committed| committed.leader_epoch),
        metadata: Some(committed.map(|committed| committed.metadata.clone()).unwrap_or_default().into()),
        error_code: ErrorCode::None.code(),
    }
}

fn to_single<'a>(topic: OffsetFetchResponseTopics<'a>) -> OffsetFetchResponseTopic<'a> {
    let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    });
    OffsetFetchResponseTopic { name: topic.name, partitions: partitions.collect() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use millstream_metadata::topic_name::TopicName;
    use uuid::Uuid;

    use super::*;

    fn topic(id: u128) -> TopicImage {
        TopicImage {
            id: Uuid::from_u128(id),
            name: "t".parse::<TopicName>().expect("a name"),
            partitions: Vec::new(),
            configs: Arc::new(BTreeMap::new()),
        }
    }

    fn committed(topic_id: u128) -> Offsets {
        let mut offsets = Offsets::default();
        offsets.insert(
            "t",
            0,
            CommittedOffset {
                offset: 5,
                leader_epoch: 2,
                metadata: "note".into(),
                committed_at_ms: 0,
                expires_at_ms: None,
                topic_id: Uuid::from_u128(topic_id),
            },
        );
        offsets
    }

    fn check(topic_id: u128, current: Option<&TopicImage>, expected: i64) {
        let offsets = committed(topic_id);
        let wanted = OffsetFetchRequestTopics { name: "t".into(), partition_indexes: vec![0, 1], ..Default::default() };
        let read: Vec<i64> =
            read_topic(&offsets, &wanted, current).iter().map(|partition| partition.committed_offset).collect();
        assert_eq!(read, [expected, NONE]);
        let all: Vec<i64> = read_all(&offsets, |_| current, |_| true)
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| partition.committed_offset))
            .collect();
        assert_eq!(all, if expected == NONE { vec![] } else { vec![expected] });
    }

    #[test]
    fn an_offset_is_shown_for_the_topic_it_was_committed_for() {
        check(7, Some(&topic(7)), 5);
    }

    #[test]
    fn a_topic_made_anew_under_the_same_name_has_no_offsets() {
        check(7, Some(&topic(8)), NONE);
        check(7, None, NONE);
    }

    #[test]
    fn an_offset_of_an_unknown_topic_id_is_shown() {
        check(0, Some(&topic(8)), 5);
    }
}
