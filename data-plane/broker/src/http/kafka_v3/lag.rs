//! How far a consumer group is behind, partition by partition.
//!
//! A partition has a lag once an offset was committed for it. Offsets of a topic that was deleted since, also if
//! another has its name, do not count, and topics that the caller may not see are left out.

use std::collections::HashMap;

use millstream_api::kafka_rest::lag::Lag;
use millstream_api::role::{KafkaResource, Operation};

use super::scope::Scope;
use super::{consumer, consumer_group};
use crate::broker::Broker;
use crate::groups::shard::MemberDescription;
use crate::http::error::RestError;

/// All lags of a group, ordered by topic and partition.
pub(super) fn of_group(broker: &Broker, scope: &Scope, group_id: &str) -> Result<Vec<Lag>, RestError> {
    let group = consumer_group::find(broker, scope, group_id)?;
    let mut readers: HashMap<(String, i32), &MemberDescription> = HashMap::new();
    for member in &group.members {
        readers.extend(consumer::assigned_partitions(&member.assignment).into_iter().map(|place| (place, member)));
    }
    let committed = broker.groups.committed_offsets(&scope.tenant, group_id).map_err(consumer_group::refuse)?;
    let image = broker.metadata.image();
    let mut lags = Vec::new();
    for (topic_name, partition_id, offset) in committed.unwrap_or_default() {
        if !scope.allows(Operation::Describe, KafkaResource::Topic, &topic_name) {
            continue;
        }
        let topic = image.topic_by_name(&scope.tenant, &topic_name);
        let topic = topic.filter(|topic| offset.topic_id.is_nil() || offset.topic_id == topic.id);
        let partition = topic.and_then(|topic| broker.partitions.get(topic.id, partition_id));
        let Some(partition) = partition else { continue };
        let log_end_offset = partition.log().log_end_offset();
        let reader = readers.get(&(topic_name.clone(), partition_id));
        let number = partition_id.to_string();
        let path = ["consumer-groups", group_id, "lags", &topic_name, "partitions", &number];
        let name = [("consumer-group", group_id), ("lag", topic_name.as_str()), ("partition", number.as_str())];
        lags.push(Lag {
            kind: "KafkaConsumerLag",
            metadata: scope.links.metadata(&path, &name),
            cluster_id: scope.tenant.to_string(),
            consumer_group_id: group_id.to_owned(),
            partition_id,
            consumer_id: reader.map(|reader| reader.member_id.clone()).unwrap_or_default(),
            instance_id: reader.and_then(|reader| reader.group_instance_id.clone()),
            client_id: reader.map(|reader| reader.client_id.clone()).unwrap_or_default(),
            current_offset: offset.offset,
            log_end_offset,
            lag: log_end_offset.saturating_sub(offset.offset).max(0),
            topic_name,
        });
    }
    lags.sort_by(|left, right| (&left.topic_name, left.partition_id).cmp(&(&right.topic_name, right.partition_id)));
    Ok(lags)
}
