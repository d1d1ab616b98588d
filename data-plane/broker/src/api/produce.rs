//! Produce: appends record batches as they came.
//!
//! The header of a batch is parsed, its CRC checked once, and its bytes go to the log without being copied or
//! decompressed. acks=0 gets no response at all, not even for an error.

use std::borrow::Cow;
use std::sync::Arc;

use millstream_api::role::{KafkaResource, Operation};
use millstream_log::AppendError;
use millstream_metadata::image::TopicImage;
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest};
use millstream_protocol::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use millstream_protocol::reader::Reader;
use millstream_protocol::record_batch::{self, BatchError, ProduceLimits};
use millstream_protocol::records::Records;
use tracing::error;

use super::{Answer, Answered, RequestContext, RequestError, plain};
use crate::clock::now_ms;
use crate::partition::Partition;
use crate::quotas::connection::to_throttle_time_ms;

/// First version of Produce that carries record batches of format 2.
const FIRST_SERVED_VERSION: i16 = 3;

pub(super) async fn answer(
    ctx: &RequestContext<'_>,
    mut reader: Reader<'_>,
    correlation_id: i32,
) -> Result<Answered, RequestError> {
    let api = ApiKey::Produce;
    let version = ctx.api_version;
    // Versions 0 to 2 are advertised only because old librdkafka otherwise does not compress (KAFKA-18659).
    if version < FIRST_SERVED_VERSION {
        return Err(RequestError::UnknownVersion { api: api.name(), version });
    }
    let request = ProduceRequest::decode(&mut reader, version)
        .map_err(|source| RequestError::Decode { api: api.name(), source })?;
    let mut response = handle(ctx, &request).await;
    let wait = ctx.request_wait.max(ctx.authenticated.quota.charge_ingress(ctx.request_bytes));
    if request.acks == 0 {
        return Ok(Answered { answer: Answer::Nothing, wait });
    }
    response.throttle_time_ms = to_throttle_time_ms(wait);
    let answer = plain(api, version, correlation_id, |writer| response.encode(writer, version))?;
    Ok(Answered { answer, wait })
}

async fn handle<'a>(ctx: &RequestContext<'_>, request: &ProduceRequest<'a>) -> ProduceResponse<'a> {
    let refusal = refuse_all(request);
    let now_ms = now_ms();
    let image = ctx.broker.metadata.image();
    let tenant = image.tenant(&ctx.authenticated.credential.tenant);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        let is_allowed = ctx.allows(Operation::Write, KafkaResource::Topic, &topic.name);
        let known = tenant.and_then(|tenant| tenant.topic_by_name(&topic.name));
        let hosted = known.and_then(|known| ctx.broker.partitions.topic(known.id));
        let limits = hosted.as_ref().map(|hosted| hosted.settings.produce_limits(ctx.api_version, now_ms));
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        for data in &topic.partition_data {
            let partition = hosted.as_ref().and_then(|hosted| hosted.partition(data.index));
            let appended = match (&refusal, partition, &limits) {
                _ if !is_allowed => Err(ErrorCode::TopicAuthorizationFailed.into()),
                (Some(refusal), _, _) => Err(refusal.clone()),
                (None, Some(partition), Some(limits)) => {
                    partition.back_from_disk().await;
                    append(ctx, partition, data, limits)
                }
                _ => Err(missing_partition(known.map(Arc::as_ref), data.index)),
            };
            partition_responses.push(to_response(data.index, appended));
        }
        responses.push(TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses,
        });
    }
    ProduceResponse { responses, ..ProduceResponse::default() }
}

/// What a stored batch is answered with.
struct Stored {
    base_offset: i64,
    log_append_time_ms: i64,
    log_start_offset: i64,
}

/// Why a batch was not stored.
#[derive(Clone)]
struct Refusal {
    code: ErrorCode,
    message: Option<Cow<'static, str>>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// What refuses the request as a whole.
fn refuse_all(request: &ProduceRequest<'_>) -> Option<Refusal> {
    if !matches!(request.acks, -1..=1) {
        return Some(ErrorCode::InvalidRequiredAcks.into());
    }
    if request.transactional_id.is_some() {
        return Some(Refusal {
            code: ErrorCode::TransactionalIdAuthorizationFailed,
            message: Some("transactions are not available on this cluster".into()),
        });
    }
    None
}

/// A partition that should exist but is not open had a log that could not be opened.
fn missing_partition(topic: Option<&TopicImage>, index: i32) -> Refusal {
    let exists = topic.is_some_and(|topic| topic.partition(index).is_some());
    if exists { ErrorCode::KafkaStorageError.into() } else { ErrorCode::UnknownTopicOrPartition.into() }
}

fn append(
    ctx: &RequestContext<'_>,
    partition: &Partition,
    data: &PartitionProduceData<'_>,
    limits: &ProduceLimits,
) -> Result<Stored, Refusal> {
    let Some(Records::Borrowed(batch)) = data.records else {
        return Err(Refusal { code: ErrorCode::InvalidRecord, message: Some("the partition has no records".into()) });
    };
    let header = record_batch::validate_produced(batch, limits).map_err(refuse_batch)?;
    if let Some(limit) = ctx.authenticated.quota.reached_storage_limit() {
        return Err(refuse_full(limit));
    }
    let appended = partition.append(batch, &header, limits.now_ms).map_err(|error| refuse_append(partition, error))?;
    if !appended.duplicate {
        let records = u64::try_from(header.record_count).unwrap_or(0);
        ctx.authenticated.metrics.count_produced(batch.len(), records);
        ctx.authenticated.quota.count_stored(batch.len());
    }
    Ok(Stored {
        base_offset: appended.base_offset,
        log_append_time_ms: appended.log_append_time_ms,
        log_start_offset: appended.log_start_offset,
    })
}

fn refuse_full(limit: u64) -> Refusal {
    let message = format!("this cluster stores as much as its type allows: {limit} bytes");
    Refusal { code: ErrorCode::PolicyViolation, message: Some(message.into()) }
}

fn refuse_batch(error: BatchError) -> Refusal {
    Refusal { code: error.code(), message: Some(error.to_string().into()) }
}

fn refuse_append(partition: &Partition, error: AppendError) -> Refusal {
    let code = error.code();
    if code == ErrorCode::KafkaStorageError {
        error!(tenant = %partition.id.tenant, topic.id = %partition.id.topic_id,
            partition = partition.id.partition, %error, "cannot append to a log");
        return code.into();
    }
    Refusal { code, message: Some(error.to_string().into()) }
}

fn to_response(index: i32, appended: Result<Stored, Refusal>) -> PartitionProduceResponse<'static> {
    match appended {
        Ok(stored) => PartitionProduceResponse {
            index,
            error_code: ErrorCode::None.code(),
            base_offset: stored.base_offset,
            log_append_time_ms: stored.log_append_time_ms,
            log_start_offset: stored.log_start_offset,
            ..Default::default()
        },
        Err(refusal) => PartitionProduceResponse {
            index,
            error_code: refusal.code.code(),
            base_offset: -1,
            error_message: refusal.message,
            ..Default::default()
        },
    }
}
