//! Reads records of one topic: one fetch per leader at a time, all leaders side by side.
//!
//! Promises to give the records of a partition in offset order, each once, and never more than one answer per leader
//! in memory. Knows nothing of groups: the caller says which partitions and from where.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use millstream_protocol::messages::fetch_response::FetchResponse;
use millstream_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millstream_protocol::messages::list_offsets_response::ListOffsetsResponse;
use millstream_protocol::record_batch::BatchIterator;
use millstream_protocol::writer::Writer;

use super::cluster::{Cluster, TopicLayout};
use super::connection::{Answer, Call, Connection, check};
use super::error::ClientError;

/// How long a broker may hold a fetch when it has nothing new.
const FETCH_WAIT: Duration = Duration::from_millis(500);
const FETCH_BYTES: i32 = 8 * 1024 * 1024;
const FETCH_PARTITION_BYTES: i32 = 1024 * 1024;
/// The largest batch after decompression.
const MAX_BATCH_BYTES: usize = 256 * 1024 * 1024;
/// Failures in a row before the consumer gives up.
const MAX_FAILURES: usize = 120;
const FAILURE_PAUSE: Duration = Duration::from_millis(250);
/// The timestamps that stand for the ends of a partition in ListOffsets.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    Beginning,
    End,
    Offset(i64),
}

/// A record that was read.
pub struct ConsumedRecord {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

struct FetchOutcome {
    leader: i32,
    connection: Option<Connection>,
    result: Result<Answer, ClientError>,
}

/// A consumer of some partitions of one topic.
pub struct Consumer {
    cluster: Cluster,
    layout: TopicLayout,
    /// Partition to the offset that is read next.
    positions: BTreeMap<i32, i64>,
    /// Connections that are not fetching.
    idle: BTreeMap<i32, Connection>,
    in_flight: FuturesUnordered<BoxFuture<'static, FetchOutcome>>,
    leaders_in_flight: Vec<i32>,
    fetches_started: usize,
    failures: usize,
}

impl Consumer {
    /// A consumer of a topic that exists, with no partition yet.
    pub async fn new(mut cluster: Cluster, topic: &str) -> Result<Self, ClientError> {
        let layout = cluster.topic(topic).await?;
        Ok(Self {
            cluster,
            layout,
            positions: BTreeMap::new(),
            idle: BTreeMap::new(),
            in_flight: FuturesUnordered::new(),
            leaders_in_flight: Vec::new(),
            fetches_started: 0,
            failures: 0,
        })
    }

    /// The topic's partitions.
    pub fn layout(&self) -> &TopicLayout {
        &self.layout
    }

    /// The cluster behind the consumer, for requests of the caller's own.
    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Reads these partitions from these offsets on and no others. Fetches that are under way are forgotten.
    pub fn assign(&mut self, positions: BTreeMap<i32, i64>) {
        self.positions = positions;
        self.in_flight = FuturesUnordered::new();
        self.leaders_in_flight.clear();
    }

    /// The offsets of a starting point for some partitions.
    pub async fn offsets_at(&mut self, partitions: &[i32], start: StartAt) -> Result<BTreeMap<i32, i64>, ClientError> {
        let timestamp = match start {
            StartAt::Offset(offset) => return Ok(partitions.iter().map(|partition| (*partition, offset)).collect()),
            StartAt::Beginning => EARLIEST,
            StartAt::End => LATEST,
        };
        let mut attempt = 1;
        loop {
            match self.list_offsets(partitions, timestamp).await {
                Err(error) if error.is_retriable() && attempt < MAX_FAILURES => {
                    tokio::time::sleep(FAILURE_PAUSE).await;
                    self.layout = self.cluster.topic(&self.layout.name).await?;
                }
                result => return result,
            }
            attempt += 1;
        }
    }

    /// Whether every partition was read up to these offsets.
    pub fn has_reached(&self, ends: &BTreeMap<i32, i64>) -> bool {
        self.positions.iter().all(|(partition, position)| ends.get(partition).is_none_or(|end| position >= end))
    }

    /// Waits for the next answer of any leader and gives its records: often none, at least every half second.
    pub async fn poll(&mut self) -> Result<Vec<ConsumedRecord>, ClientError> {
        self.start_fetches();
        let Some(outcome) = self.in_flight.next().await else {
            // A group member without partitions has nothing to fetch.
            tokio::time::sleep(FETCH_WAIT).await;
            return Ok(Vec::new());
        };
        self.leaders_in_flight.retain(|leader| *leader != outcome.leader);
        if let Some(connection) = outcome.connection {
            self.idle.insert(outcome.leader, connection);
        }
        let records = match outcome.result {
            Ok(answer) => self.read_answer(&answer).await,
            Err(error) => {
                self.idle.remove(&outcome.leader);
                Err(error)
            }
        };
        match records {
            Ok(records) => {
                self.failures = 0;
                Ok(records)
            }
            Err(error) if error.is_retriable() && self.failures < MAX_FAILURES => {
                self.failures += 1;
                tokio::time::sleep(FAILURE_PAUSE).await;
                self.refresh_layout().await?;
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    async fn refresh_layout(&mut self) -> Result<(), ClientError> {
        // While a broker restarts, its metadata cannot be had either: the next failure counts again.
        if self.cluster.reopen_bootstrap().await.is_ok() {
            self.layout = self.cluster.topic(&self.layout.name).await?;
        }
        Ok(())
    }

    fn start_fetches(&mut self) {
        let mut by_leader: BTreeMap<i32, Vec<FetchPartition>> = BTreeMap::new();
        for (partition, position) in &self.positions {
            let leader = self.layout.leaders.get(partition).copied().unwrap_or(-1);
            by_leader.entry(leader).or_default().push(FetchPartition {
                partition: *partition,
                fetch_offset: *position,
                partition_max_bytes: FETCH_PARTITION_BYTES,
                ..Default::default()
            });
        }
        for (leader, mut partitions) in by_leader {
            if self.leaders_in_flight.contains(&leader) {
                continue;
            }
            // Another partition is first each time, so that one full partition does not starve the others.
            let first = self.fetches_started % partitions.len();
            partitions.rotate_left(first);
            self.fetches_started = self.fetches_started.wrapping_add(1);
            let connection = self.idle.remove(&leader);
            let opening = if connection.is_none() { Some(self.cluster.opener(leader)) } else { None };
            let topic = self.layout.name.clone();
            self.leaders_in_flight.push(leader);
            self.in_flight.push(Box::pin(async move {
                let connection = match (connection, opening) {
                    (Some(connection), _) => Ok(connection),
                    (None, Some(opening)) => opening.open().await,
                    (None, None) => unreachable!("a fetch without a connection always opens one"),
                };
                match connection {
                    Ok(mut connection) => {
                        let result = fetch(&mut connection, &topic, partitions).await;
                        let connection = result.is_ok().then_some(connection);
                        FetchOutcome { leader, connection, result }
                    }
                    Err(error) => FetchOutcome { leader, connection: None, result: Err(error) },
                }
            }));
        }
    }

    async fn read_answer(&mut self, answer: &Answer) -> Result<Vec<ConsumedRecord>, ClientError> {
        let response = answer.decode(FetchResponse::decode)?;
        check("cannot fetch", response.error_code)?;
        let mut records = Vec::new();
        let mut retriable = None;
        for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
            let index = partition.partition_index;
            let Some(position) = self.positions.get(&index).copied() else { continue };
            if partition.error_code == ErrorCode::OffsetOutOfRange.code() {
                self.skip_deleted(index, position).await?;
                continue;
            }
            match check(&format!("cannot read partition {index} of {}", self.layout.name), partition.error_code) {
                Ok(()) => {}
                Err(error) if error.is_retriable() => {
                    retriable = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            }
            if let Some(batches) = &partition.records {
                let next = read_batches(&batches.to_vec(), index, position, &mut records)?;
                self.positions.insert(index, next);
            }
        }
        // Records that came with the answer are given out before the problem of another partition is looked at.
        match retriable {
            Some(error) if records.is_empty() => Err(error),
            _ => Ok(records),
        }
    }

    /// Moves a position that lies before the oldest record to that record. Refuses one that lies beyond the end.
    async fn skip_deleted(&mut self, partition: i32, position: i64) -> Result<(), ClientError> {
        let earliest = self.offsets_at(&[partition], StartAt::Beginning).await?.get(&partition).copied().unwrap_or(0);
        if position < earliest {
            self.positions.insert(partition, earliest);
            return Ok(());
        }
        let what = format!("cannot read partition {partition} of {} at offset {position}", self.layout.name);
        check(&what, ErrorCode::OffsetOutOfRange.code())
    }

    async fn list_offsets(&mut self, partitions: &[i32], timestamp: i64) -> Result<BTreeMap<i32, i64>, ClientError> {
        let mut by_leader: BTreeMap<i32, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for partition in partitions {
            self.layout.check_partition(*partition)?;
            let wanted = ListOffsetsPartition { partition_index: *partition, timestamp, ..Default::default() };
            by_leader.entry(self.layout.leaders[partition]).or_default().push(wanted);
        }
        let mut offsets = BTreeMap::new();
        for (leader, partitions) in by_leader {
            let request = ListOffsetsRequest {
                replica_id: -1,
                topics: vec![ListOffsetsTopic { name: self.layout.name.as_str().into(), partitions }],
                ..Default::default()
            };
            let call = Call {
                api: ApiKey::ListOffsets,
                versions: 1..=7,
                broker_wait: Duration::ZERO,
                encode: &|writer: &mut Writer, version| request.encode(writer, version),
            };
            let answer = match self.cluster.broker(leader).await?.call(call).await {
                Ok(answer) => answer,
                Err(error) => {
                    self.cluster.forget_broker(leader);
                    return Err(error);
                }
            };
            let response = answer.decode(ListOffsetsResponse::decode)?;
            for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
                let what = format!("cannot find the offsets of partition {}", partition.partition_index);
                check(&what, partition.error_code)?;
                offsets.insert(partition.partition_index, partition.offset);
            }
        }
        Ok(offsets)
    }
}

async fn fetch(
    connection: &mut Connection,
    topic: &str,
    partitions: Vec<FetchPartition>,
) -> Result<Answer, ClientError> {
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: FETCH_WAIT.as_millis() as i32,
        min_bytes: 1,
        max_bytes: FETCH_BYTES,
        // No fetch session: epoch -1 asks for a full answer.
        session_epoch: -1,
        topics: vec![FetchTopic { topic: topic.into(), partitions, ..Default::default() }],
        ..Default::default()
    };
    let call = Call {
        api: ApiKey::Fetch,
        versions: 4..=12,
        broker_wait: FETCH_WAIT,
        encode: &|writer: &mut Writer, version| request.encode(writer, version),
    };
    connection.call(call).await
}

/// Appends the records at or after `position` and gives the position after them.
fn read_batches(
    bytes: &[u8],
    partition: i32,
    position: i64,
    records: &mut Vec<ConsumedRecord>,
) -> Result<i64, ClientError> {
    let mut next = position;
    for batch in BatchIterator::new(bytes) {
        let batch = batch?;
        batch.verify_checksum()?;
        if !batch.header.is_control() {
            let payload = batch.payload(MAX_BATCH_BYTES)?;
            for record in batch.records(&payload) {
                let record = record?;
                // A fetch begins with the whole batch that holds the offset.
                if record.offset < position {
                    continue;
                }
                let headers = record
                    .headers
                    .iter()
                    .map(|header| (header.key.clone().into_owned(), header.value.map(<[u8]>::to_vec)));
                records.push(ConsumedRecord {
                    partition,
                    offset: record.offset,
                    timestamp_ms: record.timestamp,
                    headers: headers.collect(),
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                });
            }
        }
        next = next.max(batch.header.last_offset() + 1);
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_protocol::compression::Compression;
    use millstream_protocol::record_batch::{BatchBuilder, NewRecord};

    fn batch(base_offset: i64, values: &[&str], compression: Compression) -> Vec<u8> {
        let mut builder = BatchBuilder::new().base_offset(base_offset).compression(compression);
        for value in values {
            builder.append(NewRecord { timestamp: 7, value: Some(value.as_bytes()), ..Default::default() });
        }
        builder.build().expect("batch")
    }

    fn values(bytes: &[u8], position: i64) -> (Vec<String>, i64) {
        let mut records = Vec::new();
        let next = read_batches(bytes, 0, position, &mut records).expect("batches");
        let texts = records.iter().map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap_or(b"-")).into_owned());
        (texts.collect(), next)
    }

    #[test]
    fn reading_begins_inside_a_batch_and_goes_on_behind_it() {
        let mut bytes = batch(10, &["a", "b", "c"], Compression::None);
        bytes.extend(batch(13, &["d"], Compression::Zstd));
        assert_eq!(values(&bytes, 11), (vec!["b".into(), "c".into(), "d".into()], 14));
    }

    #[test]
    fn a_batch_that_is_cut_off_is_read_next_time() {
        let mut bytes = batch(0, &["a"], Compression::Lz4);
        bytes.extend(&batch(1, &["b"], Compression::None)[..40]);
        assert_eq!(values(&bytes, 0), (vec!["a".into()], 1));
    }

    #[test]
    fn damage_is_an_error_and_not_a_record() {
        let mut bytes = batch(0, &["abcdef"], Compression::None);
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        assert!(read_batches(&bytes, 0, 0, &mut Vec::new()).is_err());
    }
}
