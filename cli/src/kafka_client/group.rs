//! A member of a consumer group, by the classic protocol with the range assignor.
//!
//! Promises to keep the membership alive while `tick` is called at least every few seconds, and to commit only offsets
//! of partitions it owns in the current generation. One topic per member. Never fetches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error::{DecodeError, EncodeError};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::consumer_protocol_assignment::{ConsumerProtocolAssignment, TopicPartition};
use millstream_protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use millstream_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use millstream_protocol::messages::find_coordinator_response::FindCoordinatorResponse;
use millstream_protocol::messages::heartbeat_request::HeartbeatRequest;
use millstream_protocol::messages::heartbeat_response::HeartbeatResponse;
use millstream_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use millstream_protocol::messages::join_group_response::JoinGroupResponse;
use millstream_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use millstream_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use millstream_protocol::messages::offset_commit_response::OffsetCommitResponse;
use millstream_protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use millstream_protocol::messages::offset_fetch_response::OffsetFetchResponse;
use millstream_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use millstream_protocol::messages::sync_group_response::SyncGroupResponse;
use millstream_protocol::reader::Reader;
use millstream_protocol::writer::Writer;

use super::cluster::Cluster;
use super::connection::{Answer, Call, Connection, check};
use super::error::ClientError;

const SESSION_TIMEOUT: Duration = Duration::from_secs(45);
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(60);
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);
/// How often joining is tried before the member gives up.
const MAX_ATTEMPTS: usize = 40;
const RETRY_PAUSE: Duration = Duration::from_millis(250);
const PROTOCOL_TYPE: &str = "consumer";
const ASSIGNOR: &str = "range";
/// Subscriptions and assignments are written in this version, which every consumer reads.
const PROTOCOL_VERSION: i16 = 0;
/// The key type of a group in FindCoordinator.
const GROUP_KEY_TYPE: i8 = 0;

/// What a look at the group says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    Steady,
    /// The partitions must be given up and the group joined again.
    Lost,
}

/// A member of a group.
pub struct GroupMember {
    group: String,
    topic: String,
    coordinator: Connection,
    member_id: String,
    generation_id: i32,
    last_heartbeat: Instant,
}

impl GroupMember {
    /// Finds the group's coordinator. The group is not joined yet.
    pub async fn new(cluster: &mut Cluster, group: &str, topic: &str) -> Result<Self, ClientError> {
        let coordinator = find_coordinator(cluster, group).await?;
        Ok(Self {
            group: group.to_string(),
            topic: topic.to_string(),
            coordinator,
            member_id: String::new(),
            generation_id: -1,
            last_heartbeat: Instant::now(),
        })
    }

    /// Joins the group, or joins it again, and gives the partitions of the topic that are this member's.
    pub async fn join(&mut self, cluster: &mut Cluster) -> Result<Vec<i32>, ClientError> {
        for attempt in 1.. {
            let error = match self.join_once(cluster).await {
                Ok(partitions) => {
                    self.last_heartbeat = Instant::now();
                    return Ok(partitions);
                }
                Err(error) => error,
            };
            if attempt >= MAX_ATTEMPTS {
                return Err(error);
            }
            let again = match error.code() {
                // Not a failure: the coordinator has given the id to join with.
                Some(ErrorCode::MemberIdRequired) => continue,
                Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                    self.member_id.clear();
                    true
                }
                Some(ErrorCode::RebalanceInProgress) => true,
                _ => error.is_retriable(),
            };
            if !again {
                return Err(error);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
            // A broker that is still away makes the next attempt fail, and that is counted.
            if moved_or_lost(&error)
                && cluster.reopen_bootstrap().await.is_ok()
                && let Ok(coordinator) = find_coordinator(cluster, &self.group).await
            {
                self.coordinator = coordinator;
            }
        }
        unreachable!("the loop above ends only by returning")
    }

    /// Sends a heartbeat if one is due.
    pub async fn tick(&mut self) -> Result<Membership, ClientError> {
        if self.last_heartbeat.elapsed() < HEARTBEAT_INTERVAL {
            return Ok(Membership::Steady);
        }
        self.last_heartbeat = Instant::now();
        let request = HeartbeatRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation_id,
            member_id: self.member_id.as_str().into(),
            ..Default::default()
        };
        let answer = call(&mut self.coordinator, ApiKey::Heartbeat, 0..=4, Duration::ZERO, &|writer, version| {
            request.encode(writer, version)
        })
        .await;
        let result = answer
            .and_then(|answer| answer.decode(HeartbeatResponse::decode))
            .and_then(|response| check("cannot stay in the group", response.error_code));
        membership(result)
    }

    /// The committed offsets of some partitions; those without one are left out.
    pub async fn committed(&mut self, partitions: &[i32]) -> Result<BTreeMap<i32, i64>, ClientError> {
        let request = OffsetFetchRequest {
            group_id: self.group.as_str().into(),
            topics: Some(vec![OffsetFetchRequestTopic {
                name: self.topic.as_str().into(),
                partition_indexes: partitions.to_vec(),
            }]),
            ..Default::default()
        };
        let answer = call(&mut self.coordinator, ApiKey::OffsetFetch, 1..=7, Duration::ZERO, &|writer, version| {
            request.encode(writer, version)
        })
        .await?;
        let response = answer.decode(OffsetFetchResponse::decode)?;
        check("cannot read the group's offsets", response.error_code)?;
        let mut offsets = BTreeMap::new();
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            check("cannot read the group's offsets", partition.error_code)?;
            if partition.committed_offset >= 0 {
                offsets.insert(partition.partition_index, partition.committed_offset);
            }
        }
        Ok(offsets)
    }

    /// Commits offsets: for each partition the next one to read.
    pub async fn commit(&mut self, offsets: &BTreeMap<i32, i64>) -> Result<Membership, ClientError> {
        if offsets.is_empty() {
            return Ok(Membership::Steady);
        }
        let partitions = offsets.iter().map(|(partition, offset)| OffsetCommitRequestPartition {
            partition_index: *partition,
            committed_offset: *offset,
            committed_metadata: Some("".into()),
            ..Default::default()
        });
        let request = OffsetCommitRequest {
            group_id: self.group.as_str().into(),
            generation_id_or_member_epoch: self.generation_id,
            member_id: self.member_id.as_str().into(),
            topics: vec![OffsetCommitRequestTopic {
                name: self.topic.as_str().into(),
                partitions: partitions.collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = call(&mut self.coordinator, ApiKey::OffsetCommit, 2..=8, Duration::ZERO, &|writer, version| {
            request.encode(writer, version)
        })
        .await;
        let result = answer.and_then(|answer| {
            let response = answer.decode(OffsetCommitResponse::decode)?;
            let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.try_for_each(|partition| check("cannot commit the group's offsets", partition.error_code))
        });
        membership(result)
    }

    /// Leaves the group, so that the others get the partitions at once. Failure does no harm: the session expires.
    pub async fn leave(&mut self) {
        let member_id = self.member_id.as_str();
        let alone = LeaveGroupRequest {
            group_id: self.group.as_str().into(),
            member_id: member_id.into(),
            members: Vec::new(),
        };
        let listed = LeaveGroupRequest {
            group_id: self.group.as_str().into(),
            member_id: "".into(),
            members: vec![MemberIdentity { member_id: member_id.into(), ..Default::default() }],
        };
        let call = Call {
            api: ApiKey::LeaveGroup,
            versions: 0..=5,
            broker_wait: Duration::ZERO,
            encode: &|writer: &mut Writer, version| match version {
                0..=2 => alone.encode(writer, version),
                _ => listed.encode(writer, version),
            },
        };
        let _ = self.coordinator.call(call).await;
    }

    async fn join_once(&mut self, cluster: &mut Cluster) -> Result<Vec<i32>, ClientError> {
        let metadata = subscription(&self.topic)?;
        let request = JoinGroupRequest {
            group_id: self.group.as_str().into(),
            session_timeout_ms: SESSION_TIMEOUT.as_millis() as i32,
            rebalance_timeout_ms: REBALANCE_TIMEOUT.as_millis() as i32,
            member_id: self.member_id.as_str().into(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: vec![JoinGroupRequestProtocol { name: ASSIGNOR.into(), metadata: metadata.as_ref().into() }],
            ..Default::default()
        };
        let answer = call(&mut self.coordinator, ApiKey::JoinGroup, 1..=7, REBALANCE_TIMEOUT, &|writer, version| {
            request.encode(writer, version)
        })
        .await?;
        let joined = answer.decode(JoinGroupResponse::decode)?;
        if joined.error_code == ErrorCode::MemberIdRequired.code() || joined.error_code == ErrorCode::None.code() {
            self.member_id = joined.member_id.clone().into_owned();
        }
        check(&format!("cannot join group {}", self.group), joined.error_code)?;
        self.generation_id = joined.generation_id;
        let leads = joined.leader == joined.member_id;
        let assignments = if leads { assign_all(cluster, &joined).await? } else { Vec::new() };
        self.sync(&assignments).await
    }

    async fn sync(&mut self, assignments: &[(String, Bytes)]) -> Result<Vec<i32>, ClientError> {
        let assignments = assignments.iter().map(|(member_id, assignment)| SyncGroupRequestAssignment {
            member_id: member_id.as_str().into(),
            assignment: assignment.as_ref().into(),
        });
        let request = SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation_id,
            member_id: self.member_id.as_str().into(),
            assignments: assignments.collect(),
            ..Default::default()
        };
        let answer = call(&mut self.coordinator, ApiKey::SyncGroup, 0..=4, REBALANCE_TIMEOUT, &|writer, version| {
            request.encode(writer, version)
        })
        .await?;
        let response = answer.decode(SyncGroupResponse::decode)?;
        check(&format!("cannot join group {}", self.group), response.error_code)?;
        if response.assignment.is_empty() {
            return Ok(Vec::new());
        }
        let mut reader = Reader::new(&response.assignment);
        let assignment = read_versioned(&mut reader, ConsumerProtocolAssignment::decode)
            .map_err(|source| ClientError::Malformed { address: format!("group {}", self.group), source })?;
        let mine = assignment.assigned_partitions.into_iter().filter(|assigned| assigned.topic == self.topic);
        Ok(mine.flat_map(|assigned| assigned.partitions).collect())
    }
}

async fn call(
    coordinator: &mut Connection,
    api: ApiKey,
    versions: std::ops::RangeInclusive<i16>,
    broker_wait: Duration,
    encode: &(dyn Fn(&mut Writer, i16) -> Result<(), EncodeError> + Sync),
) -> Result<Answer, ClientError> {
    coordinator.call(Call { api, versions, broker_wait, encode }).await
}

/// Errors that mean "join again" are a state of the group, not a failure.
fn membership(result: Result<(), ClientError>) -> Result<Membership, ClientError> {
    match result {
        Ok(()) => Ok(Membership::Steady),
        Err(error) => match error.code() {
            Some(ErrorCode::RebalanceInProgress | ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                Ok(Membership::Lost)
            }
            _ if error.is_retriable() => Ok(Membership::Lost),
            _ => Err(error),
        },
    }
}

fn moved_or_lost(error: &ClientError) -> bool {
    let moved = matches!(error.code(), Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable));
    let lost = matches!(
        error,
        ClientError::Connect { .. }
            | ClientError::Lost { .. }
            | ClientError::Closed { .. }
            | ClientError::Timeout { .. }
    );
    moved || lost
}

async fn find_coordinator(cluster: &mut Cluster, group: &str) -> Result<Connection, ClientError> {
    let request = FindCoordinatorRequest { key: group.into(), key_type: GROUP_KEY_TYPE, ..Default::default() };
    for attempt in 1.. {
        let call = Call {
            api: ApiKey::FindCoordinator,
            versions: 0..=3,
            broker_wait: Duration::ZERO,
            encode: &|writer: &mut Writer, version| request.encode(writer, version),
        };
        let answer = cluster.any().call(call).await?;
        let response = answer.decode(FindCoordinatorResponse::decode)?;
        match check(&format!("cannot find the coordinator of group {group}"), response.error_code) {
            Ok(()) => return cluster.open_address(&format!("{}:{}", response.host, response.port)).await,
            Err(error) if error.is_retriable() && attempt < MAX_ATTEMPTS => tokio::time::sleep(RETRY_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
    unreachable!("the loop above ends only by returning")
}

/// Every member's assignment, made by this member because it leads the group.
async fn assign_all(
    cluster: &mut Cluster,
    joined: &JoinGroupResponse<'_>,
) -> Result<Vec<(String, Bytes)>, ClientError> {
    let mut subscriptions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for member in &joined.members {
        let mut reader = Reader::new(&member.metadata);
        // A member whose subscription cannot be read gets nothing, which harms nobody else.
        let topics = read_versioned(&mut reader, ConsumerProtocolSubscription::decode)
            .map(|subscription| subscription.topics.iter().map(|topic| topic.to_string()).collect())
            .unwrap_or_default();
        subscriptions.insert(member.member_id.to_string(), topics);
    }
    let all_topics: BTreeSet<String> = subscriptions.values().flatten().cloned().collect();
    let mut partitions = BTreeMap::new();
    for topic in all_topics {
        match cluster.topic(&topic).await {
            Ok(layout) => partitions.insert(topic, layout.leaders.keys().copied().collect()),
            Err(ClientError::UnknownTopic { .. }) => None,
            Err(error) => return Err(error),
        };
    }
    let assigned = assign_ranges(&subscriptions, &partitions);
    assigned.into_iter().map(|(member, topics)| Ok((member, assignment(&topics)?))).collect()
}

/// Partitions by topic.
type TopicPartitions = BTreeMap<String, Vec<i32>>;

/// The range assignor: each topic's partitions are cut into runs, one per member that wants the topic, in order of
/// member id; the first members get one more if it does not come out even.
fn assign_ranges(
    subscriptions: &BTreeMap<String, BTreeSet<String>>,
    partitions: &TopicPartitions,
) -> BTreeMap<String, TopicPartitions> {
    let mut assigned: BTreeMap<String, TopicPartitions> =
        subscriptions.keys().map(|member| (member.clone(), BTreeMap::new())).collect();
    for (topic, partitions) in partitions {
        let members: Vec<&String> =
            subscriptions.iter().filter(|(_, topics)| topics.contains(topic)).map(|(member, _)| member).collect();
        if members.is_empty() {
            continue;
        }
        let (share, with_one_more) = (partitions.len() / members.len(), partitions.len() % members.len());
        let mut rest = partitions.as_slice();
        for (index, member) in members.into_iter().enumerate() {
            let (own, others) = rest.split_at(share + usize::from(index < with_one_more));
            rest = others;
            if let Some(topics) = assigned.get_mut(member).filter(|_| !own.is_empty()) {
                topics.insert(topic.clone(), own.to_vec());
            }
        }
    }
    assigned
}

fn subscription(topic: &str) -> Result<Bytes, EncodeError> {
    let subscription = ConsumerProtocolSubscription { topics: vec![topic.into()], ..Default::default() };
    let mut writer = Writer::new();
    writer.i16(PROTOCOL_VERSION);
    subscription.encode(&mut writer, PROTOCOL_VERSION)?;
    Ok(writer.finish_contiguous())
}

fn assignment(topics: &TopicPartitions) -> Result<Bytes, EncodeError> {
    let assigned_partitions = topics
        .iter()
        .map(|(topic, partitions)| TopicPartition { topic: topic.as_str().into(), partitions: partitions.clone() });
    let assignment =
        ConsumerProtocolAssignment { assigned_partitions: assigned_partitions.collect(), ..Default::default() };
    let mut writer = Writer::new();
    writer.i16(PROTOCOL_VERSION);
    assignment.encode(&mut writer, PROTOCOL_VERSION)?;
    Ok(writer.finish_contiguous())
}

/// Reads the version in front, then the struct. A newer version begins with the fields of the ones known here.
fn read_versioned<'a, T>(
    reader: &mut Reader<'a>,
    decode: impl FnOnce(&mut Reader<'a>, i16) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let version = reader.i16()?;
    decode(reader, version.clamp(0, ConsumerProtocolAssignment::MAX_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriptions(members: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let owned = members
            .iter()
            .map(|(member, topics)| (member.to_string(), topics.iter().map(|topic| topic.to_string()).collect()));
        owned.collect()
    }

    fn partitions(topics: &[(&str, i32)]) -> TopicPartitions {
        topics.iter().map(|(topic, count)| (topic.to_string(), (0..*count).collect())).collect()
    }

    #[test]
    fn ranges_are_even_and_the_first_members_take_the_rest() {
        let assigned =
            assign_ranges(&subscriptions(&[("a", &["t"]), ("b", &["t"]), ("c", &["t"])]), &partitions(&[("t", 7)]));
        assert_eq!(assigned["a"]["t"], [0, 1, 2]);
        assert_eq!(assigned["b"]["t"], [3, 4]);
        assert_eq!(assigned["c"]["t"], [5, 6]);
    }

    #[test]
    fn a_member_gets_only_topics_that_it_wants() {
        let wanted = subscriptions(&[("a", &["t", "u"]), ("b", &["u"]), ("c", &[])]);
        let assigned = assign_ranges(&wanted, &partitions(&[("t", 1), ("u", 1)]));
        assert_eq!(assigned["a"], partitions(&[("t", 1), ("u", 1)]));
        assert!(assigned["b"].is_empty() && assigned["c"].is_empty());
    }

    #[test]
    fn an_assignment_is_read_as_it_was_written() {
        let written = assignment(&partitions(&[("t", 3)])).expect("encoded");
        let read = read_versioned(&mut Reader::new(&written), ConsumerProtocolAssignment::decode).expect("decoded");
        assert_eq!(read.assigned_partitions[0].partitions, [0, 1, 2]);
    }
}
