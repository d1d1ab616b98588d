//! OffsetCommit: how far a group has read. Each partition is checked on its own; what passes is committed together.

use std::borrow::Cow;

use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::image::TopicImage;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestPartition};
use millstream_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::RequestContext;
use crate::groups::error::GroupError;
use crate::groups::offsets::CommittedOffset;
use crate::groups::shard::{Commit, NewOffset};

/// "As long as the cluster keeps offsets"; old clients may ask for another time.
const DEFAULT_RETENTION: i64 = -1;
/// First version in which a generation of a group that does not exist is answered with GROUP_ID_NOT_FOUND (KIP-848).
const FIRST_GROUP_ID_NOT_FOUND_VERSION: i16 = 9;

pub(super) async fn handle<'a>(ctx: &RequestContext<'_>, request: OffsetCommitRequest<'a>) -> OffsetCommitResponse<'a> {
    let tenant = &ctx.authenticated.credential.tenant;
    let image = ctx.broker.metadata.image();
    let now_ms = ctx.broker.groups.now().wall_ms;
    let has_own_retention = request.retention_time_ms != DEFAULT_RETENTION;
    let expires_at_ms = has_own_retention.then(|| now_ms.saturating_add(request.retention_time_ms.max(0)));

    let group_allowed = ctx.check(Operation::Read, KafkaResource::Group, &request.group_id);
    let mut offsets = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let allowed = group_allowed.and_then(|()| ctx.check(Operation::Read, KafkaResource::Topic, &topic.name));
        let known = image.topic_by_name(tenant, &topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let partition_index = partition.partition_index;
            let checked = allowed.and_then(|()| {
                let known = known.ok_or(ErrorCode::UnknownTopicOrPartition)?;
                check(ctx, known, &partition).map_err(GroupError::code)?;
                Ok(NewOffset {
                    topic: topic.name.to_string(),
                    partition: partition_index,
                    committed: CommittedOffset {
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata: partition.committed_metadata.map(Cow::into_owned).unwrap_or_default(),
                        committed_at_ms: now_ms,
                        expires_at_ms,
                        topic_id: known.id,
                    },
                })
            });
            let error_code = checked.as_ref().err().map_or(ErrorCode::None, |code| *code).code();
            offsets.extend(checked);
            partitions.push(OffsetCommitResponsePartition { partition_index, error_code });
        }
        topics.push(OffsetCommitResponseTopic { name: topic.name, partitions, ..Default::default() });
    }
    let mut response = OffsetCommitResponse { topics, ..OffsetCommitResponse::default() };
    if offsets.is_empty() {
        return response;
    }
    let commit = Commit {
        member_id: request.member_id.into_owned(),
        group_instance_id: request.group_instance_id.map(Cow::into_owned),
        generation_id: request.generation_id_or_member_epoch,
        offsets,
    };
    if let Err(error) = ctx.broker.groups.commit(tenant, &request.group_id, &commit) {
        fail(&mut response, code_of(ctx, &request.group_id, error));
    }
    response
}

fn check(
    ctx: &RequestContext<'_>,
    topic: &TopicImage,
    partition: &OffsetCommitRequestPartition<'_>,
) -> Result<(), GroupError> {
    if topic.partition(partition.partition_index).is_none() {
        return Err(GroupError::UnknownTopicOrPartition);
    }
    // Kafka counts UTF-16 code units.
    let units = partition.committed_metadata.as_ref().map_or(0, |metadata| metadata.encode_utf16().count());
    if units > ctx.broker.groups.max_offset_metadata() {
        return Err(GroupError::OffsetMetadataTooLarge);
    }
    Ok(())
}

/// Fails every partition that had passed its own checks.
fn fail(response: &mut OffsetCommitResponse<'_>, code: ErrorCode) {
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.error_code == ErrorCode::None.code() {
            partition.error_code = code.code();
        }
    }
}

fn code_of(ctx: &RequestContext<'_>, group_id: &str, error: GroupError) -> ErrorCode {
    let tenant = &ctx.authenticated.credential.tenant;
    let tells_missing_group =
        error == GroupError::IllegalGeneration && ctx.api_version >= FIRST_GROUP_ID_NOT_FOUND_VERSION;
    if tells_missing_group && matches!(ctx.broker.groups.describe(tenant, group_id), Ok(None)) {
        return ErrorCode::GroupIdNotFound;
    }
    error.code()
}
