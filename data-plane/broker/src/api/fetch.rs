//! Fetch: record batches straight from the log, waiting for more when asked to.
//!
//! Every fetch is answered without a session (session id 0), which is always legal: the client then names all
//! its partitions each time. The records of a response are slices of log files; they are read when the response
//! is written, so a large response needs no memory.

use std::sync::Arc;
use std::time::Duration;

use millstream_api::role::{KafkaResource, Operation};
use millstream_log::{MinOneBatch, ReadError, Slice};
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use millstream_protocol::messages::fetch_response::{
    AbortedTransaction, FetchResponse, FetchableTopicResponse, PartitionData,
};
use millstream_protocol::reader::Reader;
use millstream_protocol::records::Records;
use tokio::time::Instant;
use tracing::error;

use super::{Answer, Answered, RequestContext, RequestError, encode, fill_gaps};
use crate::partition::{FetchWaiter, Isolation, Partition};
use crate::quotas::connection::to_throttle_time_ms;

/// The largest response, as Confluent Cloud's 55 MB.
const MAX_RESPONSE_BYTES: usize = 55 * 1024 * 1024;
/// The longest wait for more records.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// From this version on topics are named by id (KIP-516).
const FIRST_TOPIC_ID_VERSION: i16 = 13;

pub(super) async fn answer(
    ctx: &RequestContext<'_>,
    mut reader: Reader<'_>,
    correlation_id: i32,
) -> Result<Answered, RequestError> {
    let api = ApiKey::Fetch;
    let version = ctx.api_version;
    let request = FetchRequest::decode(&mut reader, version)
        .map_err(|source| RequestError::Decode { api: api.name(), source })?;
    let mut read = if request.session_epoch > 0 || request.session_id != 0 && request.session_epoch == 0 {
        // We never hand out a session, so nobody can continue one.
        Read::failed(ErrorCode::FetchSessionIdNotFound)
    } else {
        read_when_enough(ctx, &request).await
    };
    ctx.authenticated.metrics.count_fetched(read.bytes);
    let wait = ctx.request_wait.max(ctx.authenticated.quota.charge_egress(read.bytes));
    read.response.throttle_time_ms = to_throttle_time_ms(wait);
    let pieces = encode(api, version, correlation_id, |writer| read.response.encode(writer, version))?;
    Ok(Answered { answer: Answer::Pieces(fill_gaps(pieces, read.slices)), wait })
}

/// One pass over the requested partitions.
struct Read<'a> {
    response: FetchResponse<'a>,
    /// The records of the response, in order.
    slices: Vec<Slice>,
    bytes: usize,
    has_error: bool,
}

impl Read<'_> {
    fn failed(code: ErrorCode) -> Self {
        let response = FetchResponse { error_code: code.code(), ..FetchResponse::default() };
        Self { response, slices: Vec::new(), bytes: 0, has_error: true }
    }
}

async fn read_when_enough<'a>(ctx: &RequestContext<'_>, request: &FetchRequest<'a>) -> Read<'a> {
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT);
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let first = read(ctx, request).await;
    let is_enough = first.bytes >= min_bytes || first.has_error || wait.is_zero() || request.topics.is_empty();
    if is_enough {
        return first;
    }
    let deadline = Instant::now() + wait;
    let missing = min_bytes - first.bytes;
    let waiting = Waiting::register(ctx, request, missing);
    // Whatever was appended between the first look and the registration woke nobody.
    let second = read(ctx, request).await;
    if second.bytes >= min_bytes || second.has_error {
        return second;
    }
    // An elapsed deadline is not an error: the client asked for what there is by then.
    let _elapsed = tokio::time::timeout_at(deadline, waiting.waiter.enough()).await;
    read(ctx, request).await
}

/// A registration with every partition of a fetch; ends when dropped, also when the connection goes away.
struct Waiting {
    waiter: Arc<FetchWaiter>,
    partitions: Vec<Arc<Partition>>,
}

impl Waiting {
    fn register(ctx: &RequestContext<'_>, request: &FetchRequest<'_>, min_bytes: usize) -> Self {
        let waiter = FetchWaiter::new(min_bytes);
        let mut partitions = Vec::new();
        for topic in &request.topics {
            let Ok(topic_id) = readable_topic(ctx, request, topic) else { continue };
            for wanted in &topic.partitions {
                let Some(partition) = ctx.broker.partitions.get(topic_id, wanted.partition) else { continue };
                partition.add_waiter(&waiter);
                partitions.push(partition);
            }
        }
        Self { waiter, partitions }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for partition in &self.partitions {
            partition.remove_waiter(&self.waiter);
        }
    }
}

/// The id of a topic that may be read. A name that may not be read is answered alike whether it exists or not; an id
/// is no secret.
fn readable_topic(
    ctx: &RequestContext<'_>,
    request: &FetchRequest<'_>,
    topic: &FetchTopic<'_>,
) -> Result<uuid::Uuid, ErrorCode> {
    let image = ctx.broker.metadata.image();
    let tenant = image.tenant(&ctx.authenticated.credential.tenant);
    // A broker that follows would need ClusterAction, which no tenant has.
    let is_follower = request.replica_id >= 0 || request.replica_state.replica_id >= 0;
    let check = |name: &str| {
        let may_read = !is_follower && ctx.allows(Operation::Read, KafkaResource::Topic, name);
        if may_read { Ok(()) } else { Err(ErrorCode::TopicAuthorizationFailed) }
    };
    if ctx.api_version >= FIRST_TOPIC_ID_VERSION {
        let known = tenant.and_then(|tenant| tenant.topic_by_id(topic.topic_id)).ok_or(ErrorCode::UnknownTopicId)?;
        check(known.name.as_str())?;
        return Ok(known.id);
    }
    check(&topic.topic)?;
    let known = tenant.and_then(|tenant| tenant.topic_by_name(&topic.topic));
    known.map(|known| known.id).ok_or(ErrorCode::UnknownTopicOrPartition)
}

async fn read<'a>(ctx: &RequestContext<'_>, request: &FetchRequest<'a>) -> Read<'a> {
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let max_response_bytes = MAX_RESPONSE_BYTES.min(ctx.authenticated.quota.max_fetch_bytes());
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(max_response_bytes);
    let mut slices = Vec::new();
    let mut bytes = 0;
    let mut has_error = false;
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let topic_id = readable_topic(ctx, request, topic);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let room = max_bytes.saturating_sub(bytes);
            let fetched = match topic_id {
                Ok(topic_id) => read_partition(ctx, topic_id, wanted, room, bytes == 0, isolation).await,
                Err(code) => Err(code),
            };
            has_error |= fetched.is_err();
            let (data, slice) = match fetched {
                Ok(found) => found,
                Err(code) => (PartitionData { error_code: code.code(), ..empty(wanted.partition) }, None),
            };
            if let Some(slice) = slice {
                bytes += slice.len();
                slices.push(slice);
            }
            partitions.push(data);
        }
        responses.push(FetchableTopicResponse { topic: topic.topic.clone(), topic_id: topic.topic_id, partitions });
    }
    let response = FetchResponse { responses, ..FetchResponse::default() };
    Read { response, slices, bytes, has_error }
}

fn empty<'a>(partition: i32) -> PartitionData<'a> {
    PartitionData {
        partition_index: partition,
        high_watermark: -1,
        records: Some(Records::Borrowed(&[])),
        ..PartitionData::default()
    }
}

async fn read_partition<'a>(
    ctx: &RequestContext<'_>,
    topic_id: uuid::Uuid,
    wanted: &FetchPartition,
    room: usize,
    is_first: bool,
    isolation: Isolation,
) -> Result<(PartitionData<'a>, Option<Slice>), ErrorCode> {
    let partition = ctx.broker.partitions.get(topic_id, wanted.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    check_leader_epoch(wanted.current_leader_epoch, partition.leader_epoch())?;
    partition.back_from_disk().await;
    let max_bytes = usize::try_from(wanted.partition_max_bytes).unwrap_or(0).min(room);
    // The first batch goes out even when it is larger than the limits, or the consumer would never get past it.
    let min_one = if is_first { MinOneBatch::Yes } else { MinOneBatch::No };
    let fetched = partition.fetch(wanted.fetch_offset, max_bytes, min_one, isolation).map_err(|error| match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        other => {
            error!(tenant = %partition.id.tenant, topic.id = %topic_id, partition = wanted.partition,
                error = %other, "cannot read from a log");
            ErrorCode::KafkaStorageError
        }
    })?;
    let aborted = fetched
        .aborted
        .into_iter()
        .map(|(producer_id, first_offset)| AbortedTransaction { producer_id, first_offset })
        .collect();
    let records = match &fetched.slice {
        Some(slice) => Records::Deferred(slice.len()),
        None => Records::Borrowed(&[]),
    };
    let data = PartitionData {
        partition_index: wanted.partition,
        error_code: ErrorCode::None.code(),
        high_watermark: fetched.high_watermark,
        last_stable_offset: fetched.last_stable_offset,
        log_start_offset: fetched.log_start_offset,
        aborted_transactions: (isolation == Isolation::ReadCommitted).then_some(aborted),
        records: Some(records),
        ..PartitionData::default()
    };
    Ok((data, fetched.slice))
}

/// Compares the epoch a client knows with ours (KIP-320). -1 means that it does not know one.
pub(super) fn check_leader_epoch(stated: i32, current: i32) -> Result<(), ErrorCode> {
    if stated < 0 || stated == current {
        return Ok(());
    }
    Err(if stated < current { ErrorCode::FencedLeaderEpoch } else { ErrorCode::UnknownLeaderEpoch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_epoch_is_fenced_and_a_newer_one_is_unknown() {
        assert_eq!(check_leader_epoch(-1, 3), Ok(()));
        assert_eq!(check_leader_epoch(3, 3), Ok(()));
        assert_eq!(check_leader_epoch(2, 3), Err(ErrorCode::FencedLeaderEpoch));
        assert_eq!(check_leader_epoch(4, 3), Err(ErrorCode::UnknownLeaderEpoch));
    }
}
