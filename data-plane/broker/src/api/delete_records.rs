//! DeleteRecords: moves the log start offset forward; records below it are gone for every reader.

use std::sync::Arc;

use millstream_api::role::{KafkaResource, Operation};
use millstream_log::{Log, ReadError};
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
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let partition = hosted.as_ref().and_then(|hosted| hosted.partition(wanted.partition_index));
            let deleted = match (allowed, partition) {
                (Err(code), _) => Err(code),
                (Ok(()), Some(partition)) => delete(ctx, partition, wanted.offset).await,
                (Ok(()), None) => Err(ErrorCode::UnknownTopicOrPartition),
            };
            let (low_watermark, code) = match deleted {
                Ok(low_watermark) => (low_watermark, ErrorCode::None),
                Err(code) => (NO_LOW_WATERMARK, code),
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: wanted.partition_index,
                low_watermark,
                error_code: code.code(),
            });
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
}

/// The new log start offset. An offset at or below the current one changes nothing and is a success.
async fn delete(ctx: &RequestContext<'_>, partition: &Arc<Partition>, offset: i64) -> Result<i64, ErrorCode> {
    let deleting = Arc::clone(partition);
    // The new start is on the disk before the answer, which takes too long for a thread that serves connections.
    let deleted = tokio::task::spawn_blocking(move || deleting.at_disk(|log| move_start(log, offset)));
    let failed = |error: &dyn std::error::Error| {
        error!(tenant = %partition.id.tenant, topic.id = %partition.id.topic_id,
            partition = partition.id.partition, %error, "cannot delete records");
        ErrorCode::KafkaStorageError
    };
    let (before, after) = match deleted.await {
        Ok(Ok(moved)) => moved,
        Ok(Err(ReadError::OutOfRange { .. })) => return Err(ErrorCode::OffsetOutOfRange),
        Ok(Err(error)) => return Err(failed(&error)),
        Err(error) => return Err(failed(&error)),
    };
    if after > before {
        info!(tenant = %partition.id.tenant, topic.id = %partition.id.topic_id, partition = partition.id.partition,
            principal = %ctx.authenticated.credential.principal, before, after, "deleted records on request");
    }
    Ok(after)
}

/// The start before and after.
fn move_start(log: &mut Log, offset: i64) -> Result<(i64, i64), ReadError> {
    let (before, end) = (log.log_start_offset(), log.log_end_offset());
    let target = if offset == HIGH_WATERMARK { end } else { offset };
    if target < 0 {
        return Err(ReadError::OutOfRange { offset, log_start_offset: before, log_end_offset: end });
    }
    log.delete_records_before(target)?;
    Ok((before, log.log_start_offset()))
}
