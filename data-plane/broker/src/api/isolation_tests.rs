//! Two clusters on one broker that use the same identifiers: topics, groups, members, static members, producers. Neither
//! notices the other. That what only one of them has does not exist for the other is in `authorization_tests`.

use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::frame;
use millstream_protocol::messages::*;
use millstream_protocol::record_batch::{BatchBuilder, NewRecord};
use millstream_protocol::records::Records;

use super::{Answer, answer};
use crate::clock::now_ms;
use crate::front_door::client::request;
use crate::front_door::{FrontDoor, KEY, OTHER_KEY, OTHER_TENANT, TENANT, WHOLE_CLUSTER};
use crate::network::output::Piece;
use crate::session::Session;

/// The name of a topic and of a group in both clusters.
const NAME: &str = "same";
const INSTANCE: &str = "instance";
const PRODUCER_ID: i64 = 4711;

/// An administrator of one of the clusters.
struct Client<'a> {
    door: &'a FrontDoor,
    session: Session,
}

/// Sends a request and reads something from its answer.
macro_rules! ask {
    ($client:expr, $api:ident $version:literal, $request:expr, $response:ty, |$answer:ident| $read:expr) => {{
        let wanted = $request;
        let bytes = $client.answer(&request(ApiKey::$api, $version, |writer| wanted.encode(writer, $version))).await;
        let (_, mut reader) = frame::decode_response(ApiKey::$api, $version, &bytes).unwrap();
        let $answer = <$response>::decode(&mut reader, $version).unwrap();
        $read
    }};
}

/// A broker whose two clusters have a topic of the same name.
async fn open() -> FrontDoor {
    let door = FrontDoor::open().await;
    door.bind("rb-a", "CloudClusterAdmin", WHOLE_CLUSTER);
    for tenant in [TENANT, OTHER_TENANT] {
        door.create_topic(tenant, NAME).await;
    }
    door
}

fn connect(door: &FrontDoor) -> (Client<'_>, Client<'_>) {
    let client = |key| Client { door, session: door.session(key) };
    (client(KEY), client(OTHER_KEY))
}

impl Client<'_> {
    async fn answer(&mut self, frame: &[u8]) -> Vec<u8> {
        let answered = answer(self.door.broker(), &mut self.session, &frame[size_of::<i32>()..]).await.unwrap();
        let Answer::Pieces(pieces) = answered.answer else { panic!("no answer") };
        let bytes = pieces.into_iter().flat_map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.to_vec(),
            Piece::Log(slice) => slice.read().unwrap().to_vec(),
        });
        bytes.skip(size_of::<i32>()).collect()
    }

    /// Produces one record; answers with its offset.
    async fn produce(&mut self, value: &str, epoch: i16, sequence: i32) -> (ErrorCode, i64) {
        let mut builder = BatchBuilder::new().producer(PRODUCER_ID, epoch, sequence);
        builder.append(NewRecord { timestamp: now_ms(), key: None, value: Some(value.as_bytes()), headers: &[] });
        let batch = builder.build().unwrap();
        let partition = produce_request::PartitionProduceData { index: 0, records: Some(Records::Borrowed(&batch)) };
        let topic = produce_request::TopicProduceData {
            name: NAME.into(),
            partition_data: vec![partition],
            ..Default::default()
        };
        let wanted = produce_request::ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() };
        ask!(self, Produce 9, wanted, produce_response::ProduceResponse<'_>, |answer| {
            let partition = &answer.responses[0].partition_responses[0];
            (code(partition.error_code), partition.base_offset)
        })
    }

    /// Everything in the topic.
    async fn fetch(&mut self) -> Vec<u8> {
        let partition = fetch_request::FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() };
        let topic = fetch_request::FetchTopic { topic: NAME.into(), partitions: vec![partition], ..Default::default() };
        let wanted = fetch_request::FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..Default::default() };
        self.answer(&request(ApiKey::Fetch, 12, |writer| wanted.encode(writer, 12))).await
    }

    /// Joins as a static member; answers with the member id and the generation.
    async fn join(&mut self) -> (String, i32) {
        let protocol =
            join_group_request::JoinGroupRequestProtocol { name: "range".into(), metadata: (&b""[..]).into() };
        let wanted = join_group_request::JoinGroupRequest {
            group_id: NAME.into(),
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: 30_000,
            group_instance_id: Some(INSTANCE.into()),
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..Default::default()
        };
        ask!(self, JoinGroup 5, wanted, join_group_response::JoinGroupResponse<'_>, |answer| {
            assert_eq!(code(answer.error_code), ErrorCode::None);
            (answer.member_id.into_owned(), answer.generation_id)
        })
    }

    async fn sync(&mut self, member_id: &str, generation_id: i32) -> ErrorCode {
        let wanted = sync_group_request::SyncGroupRequest {
            group_id: NAME.into(),
            generation_id,
            member_id: member_id.into(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            ..Default::default()
        };
        ask!(self, SyncGroup 5, wanted, sync_group_response::SyncGroupResponse<'_>, |answer| code(answer.error_code))
    }

    async fn heartbeat(&mut self, member_id: &str, generation_id: i32) -> ErrorCode {
        let wanted = heartbeat_request::HeartbeatRequest {
            group_id: NAME.into(),
            generation_id,
            member_id: member_id.into(),
            group_instance_id: Some(INSTANCE.into()),
        };
        ask!(self, Heartbeat 4, wanted, heartbeat_response::HeartbeatResponse, |answer| code(answer.error_code))
    }

    async fn leave(&mut self, member_id: &str) -> ErrorCode {
        let member = leave_group_request::MemberIdentity { member_id: member_id.into(), ..Default::default() };
        let wanted = leave_group_request::LeaveGroupRequest {
            group_id: NAME.into(),
            members: vec![member],
            ..Default::default()
        };
        ask!(self, LeaveGroup 5, wanted, leave_group_response::LeaveGroupResponse<'_>, |answer| {
            code(answer.members.first().map_or(answer.error_code, |member| member.error_code))
        })
    }

    async fn commit(&mut self, member_id: &str, generation_id: i32, offset: i64) -> ErrorCode {
        let partition = offset_commit_request::OffsetCommitRequestPartition {
            committed_offset: offset,
            committed_leader_epoch: -1,
            ..Default::default()
        };
        let topic = offset_commit_request::OffsetCommitRequestTopic {
            name: NAME.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let wanted = offset_commit_request::OffsetCommitRequest {
            group_id: NAME.into(),
            generation_id_or_member_epoch: generation_id,
            member_id: member_id.into(),
            topics: vec![topic],
            ..Default::default()
        };
        ask!(self, OffsetCommit 8, wanted, offset_commit_response::OffsetCommitResponse<'_>, |answer| {
            code(answer.topics[0].partitions[0].error_code)
        })
    }

    async fn committed(&mut self) -> i64 {
        let topic = offset_fetch_request::OffsetFetchRequestTopics {
            name: NAME.into(),
            partition_indexes: vec![0],
            ..Default::default()
        };
        let group = offset_fetch_request::OffsetFetchRequestGroup {
            group_id: NAME.into(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        let wanted = offset_fetch_request::OffsetFetchRequest { groups: vec![group], ..Default::default() };
        ask!(self, OffsetFetch 9, wanted, offset_fetch_response::OffsetFetchResponse<'_>, |answer| {
            answer.groups[0].topics[0].partitions[0].committed_offset
        })
    }
}

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

fn contains(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_with_one_id_in_two_clusters_have_epochs_and_sequences_of_their_own() {
    let door = open().await;
    let (mut one, mut other) = connect(&door);
    assert_eq!(one.produce("one-0", 5, 0).await, (ErrorCode::None, 0));
    assert_eq!(one.produce("one-1", 5, 1).await, (ErrorCode::None, 1));
    // An older epoch is fenced where there is a newer one, and starts at its own sequence.
    assert_eq!(other.produce("other-0", 2, 0).await, (ErrorCode::None, 0));
    // A newer epoch fences the older one where it is, and nowhere else.
    assert_eq!(other.produce("other-1", 9, 0).await, (ErrorCode::None, 1));
    assert_eq!(other.produce("other-2", 5, 2).await.0, ErrorCode::InvalidProducerEpoch);
    assert_eq!(one.produce("one-2", 5, 2).await, (ErrorCode::None, 2));
    // What is a duplicate here is out of order there.
    assert_eq!(one.produce("one-2", 5, 2).await, (ErrorCode::None, 2));
    assert_eq!(other.produce("other-2", 9, 2).await.0, ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(door.partition(TENANT, NAME).log().log_end_offset(), 3);
    assert_eq!(door.partition(OTHER_TENANT, NAME).log().log_end_offset(), 2);
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_of_one_name_in_two_clusters_have_records_of_their_own() {
    let door = open().await;
    let (mut one, mut other) = connect(&door);
    one.produce("of-the-one", 0, 0).await;
    other.produce("of-the-other", 0, 0).await;
    let (read, other_read) = (one.fetch().await, other.fetch().await);
    assert!(contains(&read, "of-the-one") && !contains(&read, "of-the-other"));
    assert!(contains(&other_read, "of-the-other") && !contains(&other_read, "of-the-one"));
    let topic = delete_topics_request::DeleteTopicsRequest { topic_names: vec![NAME.into()], ..Default::default() };
    let deleted = ask!(other, DeleteTopics 5, topic, delete_topics_response::DeleteTopicsResponse<'_>, |answer| {
        code(answer.responses[0].error_code)
    });
    assert_eq!(deleted, ErrorCode::None);
    assert_eq!(one.fetch().await, read);
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_static_members_of_one_name_in_two_clusters_have_members_and_offsets_of_their_own() {
    let door = open().await;
    let (mut one, mut other) = connect(&door);
    let (member, generation) = one.join().await;
    assert_eq!(one.sync(&member, generation).await, ErrorCode::None);
    let (other_member, other_generation) = other.join().await;
    assert_eq!(other.sync(&other_member, other_generation).await, ErrorCode::None);
    assert_eq!(one.heartbeat(&member, generation).await, ErrorCode::None, "fenced by a member of another cluster");

    // Who knows the id of a foreign member cannot act for it.
    assert_eq!(other.sync(&member, generation).await, ErrorCode::UnknownMemberId);
    assert_eq!(other.commit(&member, generation, 7).await, ErrorCode::UnknownMemberId);
    assert_eq!(other.leave(&member).await, ErrorCode::UnknownMemberId);
    assert_eq!(one.heartbeat(&member, generation).await, ErrorCode::None);

    assert_eq!(one.commit(&member, generation, 3).await, ErrorCode::None);
    assert_eq!(other.committed().await, -1);
    assert_eq!(other.commit(&other_member, other_generation, 5).await, ErrorCode::None);
    assert_eq!((one.committed().await, other.committed().await), (3, 5));
    assert_eq!(other.leave(&other_member).await, ErrorCode::None);
    assert_eq!(one.heartbeat(&member, generation).await, ErrorCode::None);
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_continues_a_fetch_session() {
    let door = open().await;
    let (mut one, mut other) = connect(&door);
    let begins = fetch_request::FetchRequest { max_bytes: 1024, session_epoch: 0, ..Default::default() };
    let session_id =
        ask!(one, Fetch 12, begins, fetch_response::FetchResponse<'_>, |answer| (answer.error_code, answer.session_id));
    assert_eq!(session_id, (0, 0), "a session is handed out: prove that it is its cluster's own");
    for (session_id, session_epoch) in [(1, 1), (1, 0), (i32::MAX, 7)] {
        let continues =
            fetch_request::FetchRequest { max_bytes: 1024, session_id, session_epoch, ..Default::default() };
        let error =
            ask!(other, Fetch 12, continues, fetch_response::FetchResponse<'_>, |answer| code(answer.error_code));
        assert_eq!(error, ErrorCode::FetchSessionIdNotFound);
    }
    door.running.shutdown().await;
}
