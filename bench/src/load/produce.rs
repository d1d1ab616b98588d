//! Produce requests of our own load generators: not idempotent, acks=all, not compressed.
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use millstream_protocol::messages::produce_response::ProduceResponse;
use millstream_protocol::reader::Reader;
use millstream_protocol::record_batch::{BatchBuilder, NewRecord};
use millstream_protocol::records::Records;

use crate::connection::{check, encode_frame};

/// The newest version that names topics and needs no transaction protocol 2.
pub const VERSION: i16 = 11;
const ACKS_ALL: i16 = -1;
const TIMEOUT_MS: i32 = 30_000;

/// The frame of a request with one batch for each of the given partitions.
pub fn frame(topic: &str, batches: &[(i32, Vec<u8>)]) -> Result<Vec<u8>> {
    let partition_data = batches
        .iter()
        .map(|(index, batch)| PartitionProduceData { index: *index, records: Some(Records::Borrowed(batch)) });
    let topic_data = TopicProduceData {
        name: topic.into(),
        partition_data: partition_data.collect(),
        ..TopicProduceData::default()
    };
    let request =
        ProduceRequest { transactional_id: None, acks: ACKS_ALL, timeout_ms: TIMEOUT_MS, topic_data: vec![topic_data] };
    encode_frame(ApiKey::Produce, VERSION, |writer| request.encode(writer, VERSION))
}

/// Fails unless the answer acknowledges `partitions` partitions.
pub fn check_acknowledged(reader: &mut Reader<'_>, partitions: usize) -> Result<()> {
    let response = ProduceResponse::decode(reader, VERSION)?;
    let [topic] = &response.responses[..] else { bail!("Produce answered for {} topics", response.responses.len()) };
    if topic.partition_responses.len() != partitions {
        bail!("Produce answered for {} partitions instead of {partitions}", topic.partition_responses.len());
    }
    topic.partition_responses.iter().try_for_each(|partition| check(partition.error_code))
}

/// A batch with one record and no key.
pub fn batch_of_one(value: &[u8]) -> Result<Vec<u8>> {
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord { timestamp: now_ms(), value: Some(value), ..NewRecord::default() });
    Ok(builder.build()?)
}

pub fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// Bytes that no codec can shrink much and that are the same in every run.
pub fn payload(size_bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size_bytes).map(next).collect()
}
