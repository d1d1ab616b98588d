//! DeleteRecords: moves the log start offset forward; records below it are gone for every reader.

use millstream_api::role::{KafkaResource, Operation};
use millstream_log::ReadError;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::delete_records_request::DeleteRecordsRequest;
use millstream_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use tracing::{error, info};

use super::RequestContext;
use crate::partition::Partition;

/// Stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;
/// The low watermark in an answer that deleted nothing.
const NO_LOW_WATERMARK: i64 = -1;

pub(super) async fn handle<'a>(
    ctx: &RequestContext<'_>,
    request: DeleteRecordsRequest<'a>,
) -> DeleteRecordsResponse<'a> {
    let image = ctx.broker.metadata.image();
    let tenant = image.tenant(&ctx.authenticated.credential.tenant);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let allowed = ctx.check(Operation::Delete, KafkaResource::Topic, &topic.name);
        let known = tenant.and_then(|tenant| tenant.topic_by_name(&topic.name));
        let hosted = known.and_then(|known| ctx.broker.partitions.topic(known.id));
        let partitions = topic
            .partitions
            .iter()
            .map(|wanted| {
                let partition = hosted.as_ref().and_then(|hosted| hosted.partition(wanted.partition_index));
                let deleted = match (allowed, partition) {
                    (Err(code), _) => Err(code),
                    (Ok(()), Some(partition)) => delete(ctx, partition, wanted.offset),
                    (Ok(()), None) => Err(ErrorCode::UnknownTopicOrPartition),
                };
                let (low_watermark, code) = match deleted {
                    Ok(low_watermark) => (low_watermark, ErrorCode::None),
                    Err(code) => (NO_LOW_WATERMARK, code),
                };
                DeleteRecordsPartitionResult {
                    partition_index: wanted.partition_index,
                    low_watermark,
                    error_code: code.code(),
                }
            })
            .collect();
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
}

/// The new log start offset. An offset at or below the current one changes nothing and is a success.
fn delete(ctx: &RequestContext<'_>, partition: &Partition, offset: i64) -> Result<i64, ErrorCode> {
    let mut log = partition.log();
    let target = if offset == HIGH_WATERMARK { log.log_end_offset() } else { offset };
    if target < 0 {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let before = log.log_start_offset();
    match log.delete_records_before(target) {
        Ok(_) => {}
        Err(ReadError::OutOfRange { .. }) => return Err(ErrorCode::OffsetOutOfRange),
        Err(error) => {
            error!(tenant = %partition.id.tenant, topic.id = %partition.id.topic_id,
                partition = partition.id.partition, %error, "cannot delete records");
            return Err(ErrorCode::KafkaStorageError);
        }
    }
    let after = log.log_start_offset();
    if after > before {
        info!(tenant = %partition.id.tenant, topic.id = %partition.id.topic_id, partition = partition.id.partition,
            principal = %ctx.authenticated.credential.principal, before, after, "deleted records on request");
    }
    Ok(after)
}
