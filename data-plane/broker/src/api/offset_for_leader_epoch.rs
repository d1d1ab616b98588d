//! OffsetForLeaderEpoch: where the records of a leader epoch end, so that a client can tell truncation (KIP-320).

use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
};
use millstream_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use super::RequestContext;
use super::fetch::check_leader_epoch;
use crate::partition::Partition;

/// "Not known" for an epoch or an offset.
const UNDEFINED: i32 = -1;

pub(super) async fn handle<'a>(
    ctx: &RequestContext<'_>,
    request: OffsetForLeaderEpochRequest<'a>,
) -> OffsetForLeaderEpochResponse<'a> {
    let image = ctx.broker.metadata.image();
    let tenant = image.tenant(&ctx.authenticated.credential.tenant);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let allowed = ctx.check(Operation::Describe, KafkaResource::Topic, &topic.topic);
        let known = tenant.and_then(|tenant| tenant.topic_by_name(&topic.topic));
        let hosted = known.and_then(|known| ctx.broker.partitions.topic(known.id));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let partition = hosted.as_ref().and_then(|hosted| hosted.partition(wanted.partition));
            let found = match (allowed, partition) {
                (Err(code), _) => Err(code),
                (Ok(()), Some(partition)) => {
                    partition.back_from_disk().await;
                    find(partition, wanted)
                }
                (Ok(()), None) => Err(ErrorCode::UnknownTopicOrPartition),
            };
            partitions.push(found.unwrap_or_else(|code| refuse(wanted.partition, code)));
        }
        topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() }
}

fn find(partition: &Partition, wanted: &OffsetForLeaderPartition) -> Result<EpochEndOffset, ErrorCode> {
    let current = partition.leader_epoch();
    check_leader_epoch(wanted.current_leader_epoch, current)?;
    let log = partition.log();
    let (leader_epoch, end_offset) = if wanted.leader_epoch == current {
        // Also for a leader that has written nothing in its epoch yet.
        (current, log.log_end_offset())
    } else {
        match log.epoch_end_offset(wanted.leader_epoch) {
            Some(end) => (end.epoch, end.end_offset),
            None => (UNDEFINED, i64::from(UNDEFINED)),
        }
    };
    Ok(EpochEndOffset { error_code: ErrorCode::None.code(), partition: wanted.partition, leader_epoch, end_offset })
}

fn refuse(partition: i32, code: ErrorCode) -> EpochEndOffset {
    EpochEndOffset { error_code: code.code(), partition, leader_epoch: UNDEFINED, end_offset: i64::from(UNDEFINED) }
}
