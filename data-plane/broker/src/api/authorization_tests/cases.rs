//! What each served API needs, and a request and its error for each. The table that `every_served_api_has_a_row` holds
//! against the version table.

use std::sync::LazyLock;

use millstream_api::role::KafkaResource::{self, Cluster, Group, Topic, TransactionalId};
use millstream_api::role::Operation::{
    self, Alter, AlterConfigs, Create, Delete, Describe, DescribeConfigs, IdempotentWrite, Read, Write,
};
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error::EncodeError;
use millstream_protocol::messages::*;
use millstream_protocol::reader::Reader;
use millstream_protocol::record_batch::{BatchBuilder, NewRecord};
use millstream_protocol::records::Records;
use millstream_protocol::writer::Writer;
use uuid::Uuid;

use crate::clock::now_ms;

/// What a request is about.
#[derive(Clone)]
pub(super) struct Names {
    /// The name of a topic, a group and a transactional id.
    pub(super) name: &'static str,
    /// The id of a topic.
    pub(super) topic_id: Uuid,
}

/// A right that a request needs.
#[derive(Clone, Copy)]
pub(super) struct Need {
    pub(super) operation: Operation,
    pub(super) resource: KafkaResource,
    /// A right that does as well.
    pub(super) or: Option<(Operation, KafkaResource)>,
}

const fn need(operation: Operation, resource: KafkaResource) -> Need {
    Need { operation, resource, or: None }
}

/// One kind of request.
pub(super) struct Case {
    pub(super) api: ApiKey,
    pub(super) version: i16,
    /// All of these, checked in this order. None: the answer leaves out what must not be seen, or needs no right.
    pub(super) needs: &'static [Need],
    pub(super) encode: fn(&Names, &mut Writer) -> Result<(), EncodeError>,
    /// The first error in the response, for what the request is about.
    pub(super) error: fn(&mut Reader<'_>) -> i16,
}

macro_rules! case {
    ($api:ident $version:literal, [$($need:expr),*], |$names:ident| $request:expr, $response:ty, |$answer:ident| $error:expr) => {
        Case {
            api: ApiKey::$api,
            version: $version,
            needs: &[$($need),*],
            encode: |$names, writer| $request.encode(writer, $version),
            error: |reader| {
                let $answer = <$response>::decode(reader, $version).unwrap();
                $error
            },
        }
    };
}

static BATCH: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord { timestamp: now_ms(), key: None, value: Some(b"secret"), headers: &[] });
    builder.build().unwrap()
});

fn fetch(topic: fetch_request::FetchTopic<'static>) -> fetch_request::FetchRequest<'static> {
    let partition = fetch_request::FetchPartition { partition_max_bytes: 1024, ..Default::default() };
    let topic = fetch_request::FetchTopic { partitions: vec![partition], ..topic };
    fetch_request::FetchRequest { max_bytes: 1024, topics: vec![topic], ..Default::default() }
}

fn metadata(
    topics: Option<Vec<metadata_request::MetadataRequestTopic<'static>>>,
) -> metadata_request::MetadataRequest<'static> {
    metadata_request::MetadataRequest {
        topics,
        allow_auto_topic_creation: false,
        include_cluster_authorized_operations: false,
        include_topic_authorized_operations: true,
    }
}

fn offset_fetch(
    names: &Names,
    topics: Option<Vec<offset_fetch_request::OffsetFetchRequestTopics<'static>>>,
) -> offset_fetch_request::OffsetFetchRequest<'static> {
    let group =
        offset_fetch_request::OffsetFetchRequestGroup { group_id: names.name.into(), topics, ..Default::default() };
    offset_fetch_request::OffsetFetchRequest { groups: vec![group], ..Default::default() }
}

fn describe_configs(
    resource_type: i8,
    name: &'static str,
) -> describe_configs_request::DescribeConfigsRequest<'static> {
    let resource = describe_configs_request::DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: None,
    };
    describe_configs_request::DescribeConfigsRequest { resources: vec![resource], ..Default::default() }
}

fn alter_configs(resource_type: i8, name: &'static str) -> alter_configs_request::AlterConfigsRequest<'static> {
    let resource =
        alter_configs_request::AlterConfigsResource { resource_type, resource_name: name.into(), configs: Vec::new() };
    alter_configs_request::AlterConfigsRequest { resources: vec![resource], validate_only: true }
}

fn incremental_alter_configs(
    resource_type: i8,
    name: &'static str,
) -> incremental_alter_configs_request::IncrementalAlterConfigsRequest<'static> {
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type,
        resource_name: name.into(),
        configs: Vec::new(),
    };
    incremental_alter_configs_request::IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: true }
}

fn find_coordinators(names: &Names, key_type: i8) -> find_coordinator_request::FindCoordinatorRequest<'static> {
    find_coordinator_request::FindCoordinatorRequest {
        key_type,
        coordinator_keys: vec![names.name.into()],
        ..Default::default()
    }
}

fn init_producer_id(
    transactional_id: Option<&'static str>,
) -> init_producer_id_request::InitProducerIdRequest<'static> {
    init_producer_id_request::InitProducerIdRequest {
        transactional_id: transactional_id.map(Into::into),
        transaction_timeout_ms: 1000,
        ..Default::default()
    }
}

fn delete_topics(
    topic: delete_topics_request::DeleteTopicState<'static>,
) -> delete_topics_request::DeleteTopicsRequest<'static> {
    delete_topics_request::DeleteTopicsRequest { topics: vec![topic], ..Default::default() }
}

/// Every served API but the login, with a request for each way to name something.
pub(super) const CASES: &[Case] = &[
    case!(Produce 9, [need(Write, Topic)], |names| {
        let partition = produce_request::PartitionProduceData { index: 0, records: Some(Records::Borrowed(&BATCH)) };
        let topic = produce_request::TopicProduceData { name: names.name.into(), partition_data: vec![partition], ..Default::default() };
        produce_request::ProduceRequest { acks: -1, timeout_ms: 0, topic_data: vec![topic], transactional_id: None }
    }, produce_response::ProduceResponse<'_>, |answer| answer.responses[0].partition_responses[0].error_code),
    case!(Fetch 12, [need(Read, Topic)], |names| {
        fetch(fetch_request::FetchTopic { topic: names.name.into(), ..Default::default() })
    }, fetch_response::FetchResponse<'_>, |answer| answer.responses[0].partitions[0].error_code),
    case!(Fetch 16, [need(Read, Topic)], |names| {
        fetch(fetch_request::FetchTopic { topic_id: names.topic_id, ..Default::default() })
    }, fetch_response::FetchResponse<'_>, |answer| answer.responses[0].partitions[0].error_code),
    case!(ListOffsets 7, [need(Describe, Topic)], |names| {
        let partition = list_offsets_request::ListOffsetsPartition { timestamp: -1, current_leader_epoch: -1, ..Default::default() };
        let topic = list_offsets_request::ListOffsetsTopic { name: names.name.into(), partitions: vec![partition] };
        list_offsets_request::ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() }
    }, list_offsets_response::ListOffsetsResponse<'_>, |answer| answer.topics[0].partitions[0].error_code),
    case!(Metadata 12, [need(Describe, Topic)], |names| {
        metadata(Some(vec![metadata_request::MetadataRequestTopic { name: Some(names.name.into()), ..Default::default() }]))
    }, metadata_response::MetadataResponse<'_>, |answer| answer.topics[0].error_code),
    case!(Metadata 12, [need(Describe, Topic)], |names| {
        metadata(Some(vec![metadata_request::MetadataRequestTopic { name: None, topic_id: names.topic_id }]))
    }, metadata_response::MetadataResponse<'_>, |answer| answer.topics[0].error_code),
    case!(Metadata 12, [], |_names| metadata(None), metadata_response::MetadataResponse<'_>, |answer| answer.error_code),
    case!(OffsetFetch 1, [need(Describe, Group), need(Describe, Topic)], |names| {
        let topic = offset_fetch_request::OffsetFetchRequestTopic { name: names.name.into(), partition_indexes: vec![0] };
        offset_fetch_request::OffsetFetchRequest { group_id: names.name.into(), topics: Some(vec![topic]), ..Default::default() }
    }, offset_fetch_response::OffsetFetchResponse<'_>, |answer| answer.topics[0].partitions[0].error_code),
    case!(OffsetFetch 9, [need(Describe, Group), need(Describe, Topic)], |names| {
        let topic = offset_fetch_request::OffsetFetchRequestTopics { name: names.name.into(), partition_indexes: vec![0], ..Default::default() };
        offset_fetch(names, Some(vec![topic]))
    }, offset_fetch_response::OffsetFetchResponse<'_>, |answer| answer.groups[0].topics[0].partitions[0].error_code),
    case!(OffsetFetch 9, [need(Describe, Group)], |names| offset_fetch(names, None), offset_fetch_response::OffsetFetchResponse<'_>, |answer| answer.groups[0].error_code),
    case!(FindCoordinator 3, [need(Describe, Group)], |names| {
        find_coordinator_request::FindCoordinatorRequest { key: names.name.into(), key_type: 0, ..Default::default() }
    }, find_coordinator_response::FindCoordinatorResponse<'_>, |answer| answer.error_code),
    case!(FindCoordinator 4, [need(Describe, Group)], |names| find_coordinators(names, 0), find_coordinator_response::FindCoordinatorResponse<'_>, |answer| answer.coordinators[0].error_code),
    case!(FindCoordinator 4, [need(Describe, TransactionalId)], |names| find_coordinators(names, 1), find_coordinator_response::FindCoordinatorResponse<'_>, |answer| answer.coordinators[0].error_code),
    case!(Heartbeat 4, [need(Read, Group)], |names| {
        heartbeat_request::HeartbeatRequest { group_id: names.name.into(), member_id: "m".into(), ..Default::default() }
    }, heartbeat_response::HeartbeatResponse, |answer| answer.error_code),
    case!(LeaveGroup 2, [need(Read, Group)], |names| {
        leave_group_request::LeaveGroupRequest { group_id: names.name.into(), member_id: "m".into(), ..Default::default() }
    }, leave_group_response::LeaveGroupResponse<'_>, |answer| answer.error_code),
    case!(LeaveGroup 5, [need(Read, Group)], |names| {
        let member = leave_group_request::MemberIdentity { member_id: "m".into(), ..Default::default() };
        leave_group_request::LeaveGroupRequest { group_id: names.name.into(), members: vec![member], ..Default::default() }
    }, leave_group_response::LeaveGroupResponse<'_>, |answer| answer.error_code),
    case!(SyncGroup 5, [need(Read, Group)], |names| {
        sync_group_request::SyncGroupRequest {
            group_id: names.name.into(),
            member_id: "m".into(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            ..Default::default()
        }
    }, sync_group_response::SyncGroupResponse<'_>, |answer| answer.error_code),
    case!(DescribeGroups 6, [need(Describe, Group)], |names| {
        describe_groups_request::DescribeGroupsRequest { groups: vec![names.name.into()], include_authorized_operations: true }
    }, describe_groups_response::DescribeGroupsResponse<'_>, |answer| answer.groups[0].error_code),
    case!(ListGroups 5, [], |_names| list_groups_request::ListGroupsRequest::default(), list_groups_response::ListGroupsResponse<'_>, |answer| answer.error_code),
    case!(CreateTopics 5, [Need { operation: Create, resource: Topic, or: Some((Create, Cluster)) }], |names| {
        let topic = create_topics_request::CreatableTopic { name: names.name.into(), num_partitions: 1, replication_factor: 1, ..Default::default() };
        create_topics_request::CreateTopicsRequest { topics: vec![topic], validate_only: true, ..Default::default() }
    }, create_topics_response::CreateTopicsResponse<'_>, |answer| answer.topics[0].error_code),
    case!(DeleteRecords 2, [need(Delete, Topic)], |names| {
        let partition = delete_records_request::DeleteRecordsPartition { partition_index: 0, offset: 0 };
        let topic = delete_records_request::DeleteRecordsTopic { name: names.name.into(), partitions: vec![partition] };
        delete_records_request::DeleteRecordsRequest { topics: vec![topic], timeout_ms: 0 }
    }, delete_records_response::DeleteRecordsResponse<'_>, |answer| answer.topics[0].partitions[0].error_code),
    case!(InitProducerId 4, [Need { operation: Write, resource: Topic, or: Some((IdempotentWrite, Cluster)) }], |_names| {
        init_producer_id(None)
    }, init_producer_id_response::InitProducerIdResponse, |answer| answer.error_code),
    case!(OffsetForLeaderEpoch 4, [need(Describe, Topic)], |names| {
        let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition { current_leader_epoch: -1, ..Default::default() };
        let topic = offset_for_leader_epoch_request::OffsetForLeaderTopic { topic: names.name.into(), partitions: vec![partition] };
        offset_for_leader_epoch_request::OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] }
    }, offset_for_leader_epoch_response::OffsetForLeaderEpochResponse<'_>, |answer| answer.topics[0].partitions[0].error_code),
    case!(DescribeAcls 3, [need(Describe, Cluster)], |_names| {
        describe_acls_request::DescribeAclsRequest {
            resource_type_filter: 1,
            pattern_type_filter: 1,
            operation: 1,
            permission_type: 1,
            ..Default::default()
        }
    }, describe_acls_response::DescribeAclsResponse<'_>, |answer| answer.error_code),
    case!(CreateAcls 3, [need(Alter, Cluster)], |_names| {
        let acl = create_acls_request::AclCreation {
            resource_type: 2,
            resource_name: "another".into(),
            resource_pattern_type: 3,
            principal: "User:sa-x".into(),
            host: "*".into(),
            operation: 3,
            permission_type: 3,
        };
        create_acls_request::CreateAclsRequest { creations: vec![acl] }
    }, create_acls_response::CreateAclsResponse<'_>, |answer| answer.results[0].error_code),
    case!(DeleteAcls 3, [need(Alter, Cluster)], |_names| {
        let filter = delete_acls_request::DeleteAclsFilter {
            resource_type_filter: 2,
            resource_name_filter: Some("another".into()),
            pattern_type_filter: 3,
            operation: 1,
            permission_type: 1,
            ..Default::default()
        };
        delete_acls_request::DeleteAclsRequest { filters: vec![filter] }
    }, delete_acls_response::DeleteAclsResponse<'_>, |answer| answer.filter_results[0].error_code),
    case!(DescribeConfigs 4, [need(DescribeConfigs, Topic)], |names| describe_configs(2, names.name), describe_configs_response::DescribeConfigsResponse<'_>, |answer| answer.results[0].error_code),
    case!(DescribeConfigs 4, [need(DescribeConfigs, Cluster)], |_names| describe_configs(4, "0"), describe_configs_response::DescribeConfigsResponse<'_>, |answer| answer.results[0].error_code),
    case!(DescribeConfigs 4, [need(DescribeConfigs, Group)], |names| describe_configs(32, names.name), describe_configs_response::DescribeConfigsResponse<'_>, |answer| answer.results[0].error_code),
    case!(AlterConfigs 2, [need(AlterConfigs, Topic)], |names| alter_configs(2, names.name), alter_configs_response::AlterConfigsResponse<'_>, |answer| answer.responses[0].error_code),
    case!(AlterConfigs 2, [need(AlterConfigs, Cluster)], |_names| alter_configs(4, "0"), alter_configs_response::AlterConfigsResponse<'_>, |answer| answer.responses[0].error_code),
    case!(IncrementalAlterConfigs 1, [need(AlterConfigs, Topic)], |names| incremental_alter_configs(2, names.name), incremental_alter_configs_response::IncrementalAlterConfigsResponse<'_>, |answer| answer.responses[0].error_code),
    case!(IncrementalAlterConfigs 1, [need(AlterConfigs, Group)], |names| incremental_alter_configs(32, names.name), incremental_alter_configs_response::IncrementalAlterConfigsResponse<'_>, |answer| answer.responses[0].error_code),
    case!(CreatePartitions 3, [need(Alter, Topic)], |names| {
        let topic = create_partitions_request::CreatePartitionsTopic { name: names.name.into(), count: 9, assignments: None };
        create_partitions_request::CreatePartitionsRequest { topics: vec![topic], timeout_ms: 0, validate_only: true }
    }, create_partitions_response::CreatePartitionsResponse<'_>, |answer| answer.results[0].error_code),
    case!(OffsetDelete 0, [need(Delete, Group)], |names| {
        offset_delete_request::OffsetDeleteRequest { group_id: names.name.into(), topics: Vec::new() }
    }, offset_delete_response::OffsetDeleteResponse<'_>, |answer| answer.error_code),
    case!(OffsetDelete 0, [need(Delete, Group), need(Read, Topic)], |names| {
        let partition = offset_delete_request::OffsetDeleteRequestPartition { partition_index: 0 };
        let topic = offset_delete_request::OffsetDeleteRequestTopic { name: names.name.into(), partitions: vec![partition] };
        offset_delete_request::OffsetDeleteRequest { group_id: names.name.into(), topics: vec![topic] }
    }, offset_delete_response::OffsetDeleteResponse<'_>, |answer| {
        answer.topics.first().map_or(answer.error_code, |topic| topic.partitions[0].error_code)
    }),
    case!(DescribeCluster 2, [], |_names| {
        describe_cluster_request::DescribeClusterRequest { endpoint_type: 1, ..Default::default() }
    }, describe_cluster_response::DescribeClusterResponse<'_>, |answer| answer.error_code),
    case!(DeleteGroups 2, [need(Delete, Group)], |names| {
        delete_groups_request::DeleteGroupsRequest { groups_names: vec![names.name.into()] }
    }, delete_groups_response::DeleteGroupsResponse<'_>, |answer| answer.results[0].error_code),
    case!(DeleteTopics 5, [need(Delete, Topic)], |names| {
        delete_topics_request::DeleteTopicsRequest { topic_names: vec![names.name.into()], ..Default::default() }
    }, delete_topics_response::DeleteTopicsResponse<'_>, |answer| answer.responses[0].error_code),
    case!(DeleteTopics 6, [need(Delete, Topic)], |names| {
        delete_topics(delete_topics_request::DeleteTopicState { name: None, topic_id: names.topic_id })
    }, delete_topics_response::DeleteTopicsResponse<'_>, |answer| answer.responses[0].error_code),
    // The last, because they make groups.
    case!(JoinGroup 5, [need(Read, Group)], |names| {
        let protocol = join_group_request::JoinGroupRequestProtocol { name: "range".into(), metadata: (&b""[..]).into() };
        join_group_request::JoinGroupRequest {
            group_id: names.name.into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..Default::default()
        }
    }, join_group_response::JoinGroupResponse<'_>, |answer| answer.error_code),
    case!(OffsetCommit 8, [need(Read, Group), need(Read, Topic)], |names| {
        let partition = offset_commit_request::OffsetCommitRequestPartition { committed_offset: 1, ..Default::default() };
        let topic = offset_commit_request::OffsetCommitRequestTopic { name: names.name.into(), partitions: vec![partition], ..Default::default() };
        offset_commit_request::OffsetCommitRequest { group_id: names.name.into(), topics: vec![topic], ..Default::default() }
    }, offset_commit_response::OffsetCommitResponse<'_>, |answer| answer.topics[0].partitions[0].error_code),
];

/// A transactional producer: refused whatever the principal may do, as there are no transactions.
pub(super) const TRANSACTIONAL: Case = case!(InitProducerId 4, [need(Write, TransactionalId)], |names| {
    init_producer_id(Some(names.name))
}, init_producer_id_response::InitProducerIdResponse, |answer| answer.error_code);

/// Makes a topic that does not exist.
pub(super) const AUTO_CREATE: Case = case!(Metadata 8, [need(Describe, Topic), Need { operation: Create, resource: Topic, or: Some((Create, Cluster)) }], |names| {
        let topic = metadata_request::MetadataRequestTopic { name: Some(names.name.into()), ..Default::default() };
        metadata_request::MetadataRequest { allow_auto_topic_creation: true, ..metadata(Some(vec![topic])) }
    }, metadata_response::MetadataResponse<'_>, |answer| answer.topics[0].error_code);
