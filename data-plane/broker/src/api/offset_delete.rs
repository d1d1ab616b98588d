//! OffsetDelete: removes committed offsets of topics that the group does not read.

use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::offset_delete_request::OffsetDeleteRequest;
use millstream_protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

use super::RequestContext;
use crate::groups::error::GroupError;

pub(super) async fn handle<'a>(ctx: &RequestContext<'_>, request: OffsetDeleteRequest<'a>) -> OffsetDeleteResponse<'a> {
    if let Err(code) = ctx.check(Operation::Delete, KafkaResource::Group, &request.group_id) {
        return refuse(code);
    }
    if request.group_id.is_empty() {
        return refuse(ErrorCode::InvalidGroupId);
    }
    let tenant = &ctx.authenticated.credential.tenant;
    let image = ctx.broker.metadata.image();
    let find = |topic: &str, partition: i32| {
        ctx.check(Operation::Read, KafkaResource::Topic, topic)?;
        let known = image.topic_by_name(tenant, topic).and_then(|known| known.partition(partition));
        known.map(drop).ok_or(ErrorCode::UnknownTopicOrPartition)
    };
    let places = request.topics.iter().flat_map(|topic| {
        let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        indexes.map(|index| (topic.name.to_string(), index))
    });
    let places: Vec<(String, i32)> = places.filter(|(topic, partition)| find(topic, *partition).is_ok()).collect();
    let outcomes = match ctx.broker.groups.delete_offsets(tenant, &request.group_id, &places) {
        Ok(outcomes) => outcomes,
        Err(error) => return refuse(error.code()),
    };
    // In the order of the request, without the places that do not exist or must not be seen.
    let mut outcomes = outcomes.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let partition_index = partition.partition_index;
            let outcome = find(&topic.name, partition_index).and_then(|()| {
                outcomes.next().unwrap_or(Err(GroupError::CoordinatorNotAvailable)).map_err(GroupError::code)
            });
            let code = outcome.err().unwrap_or(ErrorCode::None);
            OffsetDeleteResponsePartition { partition_index, error_code: code.code() }
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic { name: topic.name, partitions }
    });
    OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() }
}

fn refuse(code: ErrorCode) -> OffsetDeleteResponse<'static> {
    OffsetDeleteResponse { error_code: code.code(), ..OffsetDeleteResponse::default() }
}
