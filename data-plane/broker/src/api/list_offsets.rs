//! ListOffsets: the first or last offset of a partition, or the first one at or after a timestamp.

use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use millstream_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use tracing::error;

use super::RequestContext;
use super::fetch::check_leader_epoch;
use crate::partition::Partition;

/// Asks for the end of what the isolation level shows.
const LATEST: i64 = -1;
/// Asks for the start of the log.
const EARLIEST: i64 = -2;
/// Asks for the record with the largest timestamp (KIP-734), from version 7 on.
const MAX_TIMESTAMP: i64 = -3;
/// First version whose answer names the leader epoch.
const FIRST_LEADER_EPOCH_VERSION: i16 = 4;
/// First version that may ask for the largest timestamp.
const FIRST_MAX_TIMESTAMP_VERSION: i16 = 7;
/// "There is none" for an offset or a timestamp.
const NONE: i64 = -1;

pub(super) async fn handle<'a>(ctx: &RequestContext<'_>, request: ListOffsetsRequest<'a>) -> ListOffsetsResponse<'a> {
    let image = ctx.broker.metadata.image();
    let tenant = image.tenant(&ctx.authenticated.credential.tenant);
    let read_committed = request.isolation_level == 1;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let allowed = ctx.check(Operation::Describe, KafkaResource::Topic, &topic.name);
        let known = tenant.and_then(|tenant| tenant.topic_by_name(&topic.name));
        let hosted = known.and_then(|known| ctx.broker.partitions.topic(known.id));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let partition = hosted.as_ref().and_then(|hosted| hosted.partition(wanted.partition_index));
            let found = match (allowed, partition) {
                (Err(code), _) => Err(code),
                (Ok(()), Some(partition)) => {
                    partition.back_from_disk().await;
                    find(ctx, partition, wanted, read_committed)
                }
                (Ok(()), None) => Err(ErrorCode::UnknownTopicOrPartition),
            };
            partitions.push(match found {
                Ok(found) => found,
                Err(code) => ListOffsetsPartitionResponse {
                    partition_index: wanted.partition_index,
                    error_code: code.code(),
                    timestamp: NONE,
                    offset: NONE,
                    ..Default::default()
                },
            });
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

fn find(
    ctx: &RequestContext<'_>,
    partition: &Partition,
    wanted: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    let leader_epoch = partition.leader_epoch();
    check_leader_epoch(wanted.current_leader_epoch, leader_epoch)?;
    let log = partition.log();
    let storage_error = |error: millstream_log::ReadError| {
        error!(tenant = %partition.id.tenant, topic.id = %partition.id.topic_id,
            partition = partition.id.partition, %error, "cannot look up an offset");
        ErrorCode::KafkaStorageError
    };
    let (timestamp, offset, epoch) = match wanted.timestamp {
        LATEST => {
            let end = if read_committed { log.last_stable_offset() } else { log.log_end_offset() };
            (NONE, end, leader_epoch)
        }
        EARLIEST => {
            let start = log.log_start_offset();
            (NONE, start, log.leader_epoch_at(start).unwrap_or(leader_epoch))
        }
        MAX_TIMESTAMP if ctx.api_version >= FIRST_MAX_TIMESTAMP_VERSION => {
            match log.max_timestamp_offset().map_err(storage_error)? {
                Some(found) => {
                    (found.timestamp, found.offset, log.leader_epoch_at(found.offset).unwrap_or(leader_epoch))
                }
                None => (NONE, NONE, -1),
            }
        }
        timestamp if timestamp < 0 => return Err(ErrorCode::UnsupportedVersion),
        timestamp => match log.offset_for_timestamp(timestamp).map_err(storage_error)? {
            Some(found) => (found.timestamp, found.offset, log.leader_epoch_at(found.offset).unwrap_or(leader_epoch)),
            None => (NONE, NONE, -1),
        },
    };
    // Older versions have no place for the epoch, and a field without a place is not encoded but refused.
    let leader_epoch = if ctx.api_version >= FIRST_LEADER_EPOCH_VERSION { epoch } else { -1 };
    Ok(ListOffsetsPartitionResponse {
        partition_index: wanted.partition_index,
        error_code: ErrorCode::None.code(),
        timestamp,
        offset,
        leader_epoch,
    })
}
