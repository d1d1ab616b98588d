//! OffsetDelete: removes committed offsets of topics that the group does not read.

use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::offset_delete_request::OffsetDeleteRequest;
use millstream_protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

use super::RequestContext;
use crate::groups::error::GroupError;

pub(super) async fn handle<'a>(ctx: &RequestContext<'_>, request: OffsetDeleteRequest<'a>) -> OffsetDeleteResponse<'a> {
    if request.group_id.is_empty() {
        return refuse(ErrorCode::InvalidGroupId);
    }
    let tenant = &ctx.authenticated.credential.tenant;
    let image = ctx.broker.metadata.image();
    let exists = |topic: &str, partition: i32| {
        image.topic_by_name(tenant, topic).is_some_and(|known| known.partition(partition).is_some())
    };
    let places = request.topics.iter().flat_map(|topic| {
        let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        indexes.map(|index| (topic.name.to_string(), index))
    });
    let places: Vec<(String, i32)> = places.filter(|(topic, partition)| exists(topic, *partition)).collect();
    let outcomes = match ctx.broker.groups.delete_offsets(tenant, &request.group_id, &places) {
        Ok(outcomes) => outcomes,
        Err(error) => return refuse(error.code()),
    };
    // In the order of the request, without the places that do not exist.
    let mut outcomes = outcomes.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let partition_index = partition.partition_index;
            let outcome = if exists(&topic.name, partition_index) {
                outcomes.next().unwrap_or(Err(GroupError::CoordinatorNotAvailable))
            } else {
                Err(GroupError::UnknownTopicOrPartition)
            };
            let code = outcome.err().map_or(ErrorCode::None, GroupError::code);
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
