//! The bytes of the generated codec against the crate `kafka-protocol`, which others wrote.
//!
//! What ours encodes must be read by theirs, written again to the same bytes, and read and written again by ours to
//! the same bytes; and the other way round, starting from values that theirs makes.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message};
use millstream_protocol::version_table::SERVED;

use crate::sampler::Sampler;
use crate::samples::{CASES, Case};

const SAMPLES_PER_VERSION: u64 = 12;

/// A message as their crate knows it.
struct Peer {
    name: &'static str,
    low: i16,
    high: i16,
    /// Decodes, asserts that no byte is left, encodes.
    transcode: fn(&[u8], i16) -> Result<Vec<u8>, String>,
    default: fn(i16) -> Result<Vec<u8>, String>,
}

macro_rules! peers {
    ($($message:ident),* $(,)?) => {
        &[$(Peer {
            name: stringify!($message),
            low: theirs::$message::VERSIONS.min,
            high: theirs::$message::VERSIONS.max,
            transcode: |bytes, version| {
                let mut bytes = Bytes::copy_from_slice(bytes);
                let decoded = theirs::$message::decode(&mut bytes, version).map_err(|error| error.to_string())?;
                if bytes.has_remaining() {
                    return Err(format!("{} bytes are left", bytes.remaining()));
                }
                let mut encoded = BytesMut::new();
                decoded.encode(&mut encoded, version).map_err(|error| error.to_string())?;
                Ok(encoded.to_vec())
            },
            default: |version| {
                let mut encoded = BytesMut::new();
                theirs::$message::default().encode(&mut encoded, version).map_err(|error| error.to_string())?;
                Ok(encoded.to_vec())
            },
        }),*]
    };
}

/// All messages that both know but LeaderChangeMessage and VotersRecord: 0.18 confuses their field `version` with the
/// version of the message.
static PEERS: &[Peer] = peers![
    AddOffsetsToTxnRequest,
    AddOffsetsToTxnResponse,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddRaftVoterRequest,
    AddRaftVoterResponse,
    AllocateProducerIdsRequest,
    AllocateProducerIdsResponse,
    AlterClientQuotasRequest,
    AlterClientQuotasResponse,
    AlterConfigsRequest,
    AlterConfigsResponse,
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    AlterPartitionRequest,
    AlterPartitionResponse,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
    AlterShareGroupOffsetsRequest,
    AlterShareGroupOffsetsResponse,
    AlterUserScramCredentialsRequest,
    AlterUserScramCredentialsResponse,
    ApiVersionsRequest,
    ApiVersionsResponse,
    AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse,
    BeginQuorumEpochRequest,
    BeginQuorumEpochResponse,
    BrokerHeartbeatRequest,
    BrokerHeartbeatResponse,
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    ControllerRegistrationRequest,
    ControllerRegistrationResponse,
    CreateAclsRequest,
    CreateAclsResponse,
    CreateDelegationTokenRequest,
    CreateDelegationTokenResponse,
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DefaultPrincipalData,
    DeleteAclsRequest,
    DeleteAclsResponse,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteShareGroupOffsetsRequest,
    DeleteShareGroupOffsetsResponse,
    DeleteShareGroupStateRequest,
    DeleteShareGroupStateResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DescribeAclsRequest,
    DescribeAclsResponse,
    DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
    DescribeClusterRequest,
    DescribeClusterResponse,
    DescribeConfigsRequest,
    DescribeConfigsResponse,
    DescribeDelegationTokenRequest,
    DescribeDelegationTokenResponse,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeProducersRequest,
    DescribeProducersResponse,
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    DescribeShareGroupOffsetsRequest,
    DescribeShareGroupOffsetsResponse,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    DescribeUserScramCredentialsRequest,
    DescribeUserScramCredentialsResponse,
    ElectLeadersRequest,
    ElectLeadersResponse,
    EndQuorumEpochRequest,
    EndQuorumEpochResponse,
    EndTxnMarker,
    EndTxnRequest,
    EndTxnResponse,
    EnvelopeRequest,
    EnvelopeResponse,
    ExpireDelegationTokenRequest,
    ExpireDelegationTokenResponse,
    FetchRequest,
    FetchResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    GetTelemetrySubscriptionsRequest,
    GetTelemetrySubscriptionsResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
    InitializeShareGroupStateRequest,
    InitializeShareGroupStateResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    KRaftVersionRecord,
    LeaveGroupRequest,
    LeaveGroupResponse,
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
    ListGroupsRequest,
    ListGroupsResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
    ListTransactionsRequest,
    ListTransactionsResponse,
    MetadataRequest,
    MetadataResponse,
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetFetchRequest,
    OffsetFetchResponse,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    ProduceRequest,
    ProduceResponse,
    PushTelemetryRequest,
    PushTelemetryResponse,
    ReadShareGroupStateRequest,
    ReadShareGroupStateResponse,
    ReadShareGroupStateSummaryRequest,
    ReadShareGroupStateSummaryResponse,
    RemoveRaftVoterRequest,
    RemoveRaftVoterResponse,
    RenewDelegationTokenRequest,
    RenewDelegationTokenResponse,
    RequestHeader,
    ResponseHeader,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
    ShareAcknowledgeRequest,
    ShareAcknowledgeResponse,
    ShareFetchRequest,
    ShareFetchResponse,
    ShareGroupDescribeRequest,
    ShareGroupDescribeResponse,
    ShareGroupHeartbeatRequest,
    ShareGroupHeartbeatResponse,
    SnapshotFooterRecord,
    SnapshotHeaderRecord,
    SyncGroupRequest,
    SyncGroupResponse,
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
    UnregisterBrokerRequest,
    UnregisterBrokerResponse,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
    UpdateRaftVoterRequest,
    UpdateRaftVoterResponse,
    VoteRequest,
    VoteResponse,
    WriteShareGroupStateRequest,
    WriteShareGroupStateResponse,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse
];

fn pairs() -> impl Iterator<Item = (&'static Case, &'static Peer, i16)> {
    PEERS.iter().flat_map(|peer| {
        let case = CASES.iter().find(|case| case.name == peer.name).unwrap();
        let low = peer.low.max(*case.versions.start());
        let high = peer.high.min(*case.versions.end());
        (low..=high).map(move |version| (case, peer, version))
    })
}

#[test]
fn their_codec_reads_ours_and_writes_the_same_bytes() {
    let mut checked = 0;
    for (case, peer, version) in pairs() {
        for seed in 0..SAMPLES_PER_VERSION {
            let ours = (case.sample)(&mut Sampler::new(seed), version).unwrap();
            let theirs = (peer.transcode)(&ours, version)
                .unwrap_or_else(|error| panic!("{} version {version} seed {seed}: {error}: {ours:02x?}", case.name));
            assert_eq!(theirs, ours, "{} version {version} seed {seed}", case.name);
            assert_eq!((case.transcode)(&theirs, version), Ok((theirs, 0)), "{} version {version}", case.name);
        }
        checked += 1;
    }
    assert!(checked > 400, "only {checked} versions were compared");
}

#[test]
fn ours_reads_what_their_codec_makes_and_writes_the_same_bytes() {
    for (case, peer, version) in pairs() {
        let Ok(theirs) = (peer.default)(version) else { continue };
        assert_eq!((case.transcode)(&theirs, version), Ok((theirs.clone(), 0)), "{} version {version}", case.name);
        assert_eq!((case.default)(version), Ok(theirs), "{} version {version}", case.name);
    }
}

#[test]
fn every_served_version_is_compared() {
    for api in SERVED {
        for suffix in ["Request", "Response"] {
            let name = format!("{}{suffix}", api.key.name());
            let peer = PEERS.iter().find(|peer| peer.name == name).unwrap();
            assert!(peer.low <= api.min_accepted && api.max <= peer.high, "{name}");
        }
    }
}
