//! Writes records to one topic: batches by partition, acknowledged by all in-sync replicas, each stored exactly once.
//!
//! Idempotent: a batch that is sent again after a lost answer is recognised by the broker. Gives up after a bounded
//! number of attempts.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::compression::Compression;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use millstream_protocol::messages::init_producer_id_response::InitProducerIdResponse;
use millstream_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use millstream_protocol::messages::produce_response::ProduceResponse;
use millstream_protocol::record_batch::{BatchBuilder, NewRecord};
use millstream_protocol::records::Records;
use millstream_protocol::writer::Writer;

use super::cluster::{Cluster, TopicLayout};
use super::connection::{Call, check};
use super::error::ClientError;
use super::partitioner::partition_of_key;

/// How long a broker may wait for its replicas.
const REPLICATION_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a batch is sent before the producer gives up.
const MAX_ATTEMPTS: usize = 10;
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// All in-sync replicas.
const ACKS_ALL: i16 = -1;

/// A record to write.
pub struct OutgoingRecord {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp_ms: i64,
}

/// A batch that has its place in the partition's sequence.
struct PendingBatch {
    partition: i32,
    bytes: Bytes,
}

/// A producer for one topic.
pub struct Producer {
    cluster: Cluster,
    layout: TopicLayout,
    producer_id: i64,
    producer_epoch: i16,
    /// Partition to the sequence number of its next record.
    sequences: BTreeMap<i32, i32>,
    compression: Compression,
    headers: Vec<(String, Vec<u8>)>,
    fixed_partition: Option<i32>,
    batches_without_key: usize,
}

impl Producer {
    /// A producer for a topic that exists. `headers` go with every record; `fixed_partition` overrides the keys.
    pub async fn new(
        mut cluster: Cluster,
        topic: &str,
        compression: Compression,
        headers: Vec<(String, Vec<u8>)>,
        fixed_partition: Option<i32>,
    ) -> Result<Self, ClientError> {
        let layout = cluster.topic(topic).await?;
        if let Some(partition) = fixed_partition {
            layout.check_partition(partition)?;
        }
        let (producer_id, producer_epoch) = init_producer_id(&mut cluster).await?;
        Ok(Self {
            cluster,
            layout,
            producer_id,
            producer_epoch,
            sequences: BTreeMap::new(),
            compression,
            headers,
            fixed_partition,
            batches_without_key: 0,
        })
    }

    /// Writes the records and returns when all of them are acknowledged. One batch per partition: the caller bounds
    /// how much it hands over.
    pub async fn send(&mut self, records: &[OutgoingRecord]) -> Result<(), ClientError> {
        let mut pending = self.build_batches(records)?;
        let mut attempt = 1;
        loop {
            let (unsent, last_error) = self.send_once(pending).await?;
            if unsent.is_empty() {
                return Ok(());
            }
            if let Some(error) = last_error.filter(|_| attempt >= MAX_ATTEMPTS) {
                return Err(error);
            }
            attempt += 1;
            pending = unsent;
            tokio::time::sleep(RETRY_PAUSE).await;
            if self.cluster.reopen_bootstrap().await.is_ok() {
                self.layout = self.cluster.topic(&self.layout.name).await?;
            }
        }
    }

    fn build_batches(&mut self, records: &[OutgoingRecord]) -> Result<Vec<PendingBatch>, ClientError> {
        let partitions: Vec<i32> = self.layout.leaders.keys().copied().collect();
        let partition_for_keyless = partitions[self.batches_without_key % partitions.len()];
        self.batches_without_key = self.batches_without_key.wrapping_add(1);
        let headers: Vec<(&str, Option<&[u8]>)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice()))).collect();

        let mut builders: BTreeMap<i32, BatchBuilder> = BTreeMap::new();
        for record in records {
            let partition = match (self.fixed_partition, &record.key) {
                (Some(partition), _) => partition,
                (None, Some(key)) => partitions[partition_of_key(key, partitions.len())],
                (None, None) => partition_for_keyless,
            };
            let builder = builders.entry(partition).or_insert_with(|| {
                let sequence = self.sequences.get(&partition).copied().unwrap_or(0);
                BatchBuilder::new().compression(self.compression).producer(
                    self.producer_id,
                    self.producer_epoch,
                    sequence,
                )
            });
            builder.append(NewRecord {
                timestamp: record.timestamp_ms,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            });
        }
        let mut pending = Vec::with_capacity(builders.len());
        for (partition, builder) in builders {
            pending.push(PendingBatch { partition, bytes: builder.build()?.into() });
            let sequence = self.sequences.entry(partition).or_insert(0);
            *sequence = next_sequence(*sequence, builder.record_count());
        }
        Ok(pending)
    }

    /// Sends each batch to its leader once. Gives back what may be tried again, with the last reason.
    async fn send_once(
        &mut self,
        pending: Vec<PendingBatch>,
    ) -> Result<(Vec<PendingBatch>, Option<ClientError>), ClientError> {
        let mut by_leader: BTreeMap<i32, Vec<PendingBatch>> = BTreeMap::new();
        for batch in pending {
            let leader = self.layout.leaders.get(&batch.partition).copied().unwrap_or(-1);
            by_leader.entry(leader).or_default().push(batch);
        }
        let mut unsent = Vec::new();
        let mut last_error = None;
        for (leader, batches) in by_leader {
            match self.send_to_leader(leader, &batches).await {
                Ok(codes) => {
                    for batch in batches {
                        let code = codes.get(&batch.partition).copied().unwrap_or(ErrorCode::UnknownServerError.code());
                        if code == ErrorCode::DuplicateSequenceNumber.code() {
                            continue;
                        }
                        let what = format!("cannot write to partition {} of {}", batch.partition, self.layout.name);
                        match check(&what, code) {
                            Ok(()) => {}
                            Err(error) if error.is_retriable() => {
                                last_error = Some(error);
                                unsent.push(batch);
                            }
                            Err(error) => return Err(error),
                        }
                    }
                }
                Err(error) if error.is_retriable() => {
                    self.cluster.forget_broker(leader);
                    last_error = Some(error);
                    unsent.extend(batches);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((unsent, last_error))
    }

    async fn send_to_leader(
        &mut self,
        leader: i32,
        batches: &[PendingBatch],
    ) -> Result<BTreeMap<i32, i16>, ClientError> {
        let partition_data = batches.iter().map(|batch| PartitionProduceData {
            index: batch.partition,
            records: Some(Records::Shared(vec![batch.bytes.clone()])),
        });
        let request = ProduceRequest {
            acks: ACKS_ALL,
            timeout_ms: REPLICATION_TIMEOUT.as_millis() as i32,
            topic_data: vec![TopicProduceData {
                name: self.layout.name.as_str().into(),
                partition_data: partition_data.collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let call = Call {
            api: ApiKey::Produce,
            versions: 3..=11,
            broker_wait: REPLICATION_TIMEOUT,
            encode: &|writer: &mut Writer, version| request.encode(writer, version),
        };
        let answer = self.cluster.broker(leader).await?.call(call).await?;
        let response = answer.decode(ProduceResponse::decode)?;
        let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        Ok(partitions.map(|partition| (partition.index, partition.error_code)).collect())
    }
}

/// Sequence numbers go from 0 to 2^31 - 1 and then begin again.
fn next_sequence(sequence: i32, records: usize) -> i32 {
    let next = (i64::from(sequence) + records as i64) % (i64::from(i32::MAX) + 1);
    i32::try_from(next).expect("the remainder is at most i32::MAX")
}

async fn init_producer_id(cluster: &mut Cluster) -> Result<(i64, i16), ClientError> {
    let request =
        InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: i32::MAX, ..Default::default() };
    for attempt in 1.. {
        let call = Call {
            api: ApiKey::InitProducerId,
            versions: 0..=4,
            broker_wait: Duration::ZERO,
            encode: &|writer: &mut Writer, version| request.encode(writer, version),
        };
        let answer = cluster.any().call(call).await?;
        let response = answer.decode(InitProducerIdResponse::decode)?;
        match check("cannot get a producer id", response.error_code) {
            Ok(()) => return Ok((response.producer_id, response.producer_epoch)),
            Err(error) if error.is_retriable() && attempt < MAX_ATTEMPTS => tokio::time::sleep(RETRY_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
    unreachable!("the loop above ends only by returning")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_begin_again_after_the_largest() {
        assert_eq!(next_sequence(0, 3), 3);
        assert_eq!(next_sequence(i32::MAX, 1), 0);
        assert_eq!(next_sequence(i32::MAX - 1, 3), 1);
    }
}
