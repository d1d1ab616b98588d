//! Topics of a run: made before it, checked and deleted after it.
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use millstream_e2e::process::wait_until;
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use millstream_protocol::messages::create_topics_response::CreateTopicsResponse;
use millstream_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use millstream_protocol::messages::delete_topics_response::DeleteTopicsResponse;
use millstream_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millstream_protocol::messages::list_offsets_response::ListOffsetsResponse;
use millstream_protocol::writer::Writer;
use uuid::Uuid;

use crate::connection::{Connection, Endpoint, check};

const CREATE_VERSION: i16 = 7;
const DELETE_VERSION: i16 = 6;
const LIST_OFFSETS_VERSION: i16 = 7;
const TIMEOUT_MS: i32 = 30_000;
const LEADERS_LIMIT: Duration = Duration::from_secs(30);
/// ListOffsets: the offset after the last record.
const LATEST: i64 = -1;
const CONSUMER: i32 = -1;

/// A topic with one replica and the server's default configuration.
#[derive(Debug, Clone)]
pub struct Topic {
    pub name: String,
    pub id: Uuid,
    pub partitions: i32,
}

impl Topic {
    /// Creates the topic and waits until the leader of every partition serves it.
    pub fn create(endpoint: &Endpoint, name: &str, partitions: i32) -> Result<Self> {
        let mut connection = Connection::open(endpoint)?;
        let creatable = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![creatable], timeout_ms: TIMEOUT_MS, ..CreateTopicsRequest::default() };
        let encode = |writer: &mut Writer| request.encode(writer, CREATE_VERSION);
        let id = connection.call(ApiKey::CreateTopics, CREATE_VERSION, encode, |reader| {
            let response = CreateTopicsResponse::decode(reader, CREATE_VERSION)?;
            let [result] = &response.topics[..] else {
                bail!("CreateTopics answered for {} topics", response.topics.len())
            };
            check(result.error_code)?;
            Ok(result.topic_id)
        });
        let topic =
            Self { name: name.to_owned(), id: id.with_context(|| format!("cannot create topic {name}"))?, partitions };
        // Metadata names a leader a little before the leader knows; ListOffsets is answered by the leader itself.
        let is_led = wait_until(LEADERS_LIMIT, || topic.record_count(endpoint).is_ok());
        ensure!(is_led, "topic {name} has no leaders");
        Ok(topic)
    }

    pub fn delete(&self, endpoint: &Endpoint) -> Result<()> {
        let state = DeleteTopicState { name: Some(self.name.as_str().into()), ..DeleteTopicState::default() };
        let request =
            DeleteTopicsRequest { topics: vec![state], timeout_ms: TIMEOUT_MS, ..DeleteTopicsRequest::default() };
        let encode = |writer: &mut Writer| request.encode(writer, DELETE_VERSION);
        Connection::open(endpoint)?.call(ApiKey::DeleteTopics, DELETE_VERSION, encode, |reader| {
            let response = DeleteTopicsResponse::decode(reader, DELETE_VERSION)?;
            response.responses.iter().try_for_each(|result| check(result.error_code))
        })
    }

    /// How many records are in the log: the sum of all partitions' end offsets.
    pub fn record_count(&self, endpoint: &Endpoint) -> Result<u64> {
        let latest =
            |partition_index| ListOffsetsPartition { partition_index, current_leader_epoch: -1, timestamp: LATEST };
        let asked = ListOffsetsTopic {
            name: self.name.as_str().into(),
            partitions: (0..self.partitions).map(latest).collect(),
        };
        let request = ListOffsetsRequest { replica_id: CONSUMER, topics: vec![asked], ..ListOffsetsRequest::default() };
        let encode = |writer: &mut Writer| request.encode(writer, LIST_OFFSETS_VERSION);
        Connection::open(endpoint)?.call(ApiKey::ListOffsets, LIST_OFFSETS_VERSION, encode, |reader| {
            let response = ListOffsetsResponse::decode(reader, LIST_OFFSETS_VERSION)?;
            let [topic] = &response.topics[..] else {
                bail!("ListOffsets answered for {} topics", response.topics.len())
            };
            ensure!(i32::try_from(topic.partitions.len())? == self.partitions, "ListOffsets left out partitions");
            let mut count = 0;
            for partition in &topic.partitions {
                check(partition.error_code)?;
                count += u64::try_from(partition.offset)?;
            }
            Ok(count)
        })
    }

    /// Fails unless exactly `expected` records are in the log.
    pub fn expect_record_count(&self, endpoint: &Endpoint, expected: u64) -> Result<()> {
        let count = self.record_count(endpoint)?;
        ensure!(count == expected, "{expected} records were acknowledged, {count} are in topic {}", self.name);
        Ok(())
    }
}
