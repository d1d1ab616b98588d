//! What several test files share: ids, and generators of record sequences.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;

use millstream_api::ids::LogicalClusterId;
use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::acl::{
    AccessControlEntry, Acl, AclHost, OPERATIONS, PATTERN_TYPES, PERMISSIONS, PatternType, Permission, RESOURCE_TYPES,
    ResourcePattern, UncheckedAcl,
};
use millstream_metadata::decide::{CreateTopicRequest, Mode, TenantLimits};
use millstream_metadata::image::MetadataImage;
use millstream_metadata::records::{BrokerId, ConfigResource, Endpoint, MetadataRecord};
use proptest::prelude::*;
use uuid::Uuid;

pub const LIMITS: TenantLimits = TenantLimits { max_partitions: 100, max_message_bytes: 8_388_608 };

pub fn tenant(number: u8) -> LogicalClusterId {
    format!("lkc-{number}").parse().unwrap()
}

pub fn topic_id(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}

pub fn register(broker_id: BrokerId, broker_epoch: i64, fenced: bool) -> MetadataRecord {
    MetadataRecord::RegisterBroker {
        broker_id,
        incarnation_id: Uuid::from_u128(broker_epoch as u128),
        broker_epoch,
        rack: (broker_id % 2 == 0).then(|| "rack-a".to_owned()),
        endpoints: vec![Endpoint { listener: "EXTERNAL".to_owned(), host: "localhost".to_owned(), port: 9092 }],
        fenced,
    }
}

/// An image with brokers `0..count`, all live.
pub fn image_with_brokers(count: i32) -> MetadataImage {
    let mut image = MetadataImage::default();
    for broker_id in 0..count {
        image.apply(&register(broker_id, i64::from(broker_id) + 1, false)).unwrap();
    }
    image
}

pub fn create_request(name: &str, partition_count: i32, replication_factor: i16) -> CreateTopicRequest {
    CreateTopicRequest {
        topic_id: topic_id(name.bytes().fold(0, u8::wrapping_add)),
        name: name.to_owned(),
        partition_count,
        replication_factor,
        assignments: BTreeMap::new(),
        configs: BTreeMap::new(),
        limits: LIMITS,
        mode: Mode::Apply,
    }
}

fn any_tenant() -> impl Strategy<Value = LogicalClusterId> {
    (0u8..3).prop_map(tenant)
}

fn any_topic_id() -> impl Strategy<Value = Uuid> {
    (0u8..6).prop_map(topic_id)
}

fn any_brokers() -> impl Strategy<Value = Vec<BrokerId>> {
    prop::collection::vec(0i32..4, 0..4)
}

/// Any ACL, over so few names that filters often match and removals often hit.
pub fn any_acl() -> impl Strategy<Value = Acl> {
    let name = prop_oneof![Just("*".to_owned()), "[ab]{1,3}"];
    let principal = prop::sample::select(vec!["User:*", "User:sa-a", "User:sa-b", "User:u-a"]);
    let host = prop::sample::select(vec!["*", "10.0.0.1", "fe80::1"]);
    let codes = (
        prop::sample::select(RESOURCE_TYPES),
        prop::sample::select(PATTERN_TYPES),
        prop::sample::select(OPERATIONS),
        prop::sample::select(PERMISSIONS),
    );
    (codes, name, principal, host).prop_map(
        |((resource_type, pattern_type, operation, permission), name, principal, host)| {
            let is_cluster = resource_type.name == "CLUSTER";
            let unchecked = UncheckedAcl {
                resource_type: resource_type.code,
                resource_name: if is_cluster { "kafka-cluster" } else { &name },
                pattern_type: pattern_type.code,
                principal,
                host,
                operation: operation.code,
                permission: permission.code,
            };
            unchecked.check().unwrap()
        },
    )
}

/// An ACL by which `principal` may or may not read topics of this name.
pub fn read_acl(pattern_type: PatternType, name: &str, principal: &str, permission: Permission) -> Acl {
    Acl {
        resource: ResourcePattern { resource_type: KafkaResource::Topic, pattern_type, name: name.to_owned() },
        entry: AccessControlEntry {
            principal: principal.parse().unwrap(),
            host: AclHost::Anywhere,
            operation: Operation::Read,
            permission,
        },
    }
}

/// One of very few ACLs, so that sequences add and remove the same one.
fn one_of_few_acls() -> impl Strategy<Value = Acl> {
    let pattern_types = vec![PatternType::Literal, PatternType::Prefixed];
    let permissions = vec![Permission::Allow, Permission::Deny];
    (prop::sample::select(pattern_types), prop::sample::select(permissions))
        .prop_map(|(pattern_type, permission)| read_acl(pattern_type, "a", "User:sa-a", permission))
}

fn any_value() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[ -~]{0,20}")
}

fn any_resource() -> impl Strategy<Value = ConfigResource> {
    prop_oneof![
        (any_tenant(), any_topic_id()).prop_map(|(tenant, topic_id)| ConfigResource::Topic { tenant, topic_id }),
        any_tenant().prop_map(|tenant| ConfigResource::Tenant { tenant }),
        (0i32..4).prop_map(|broker_id| ConfigResource::Broker { broker_id }),
        Just(ConfigResource::AllBrokers),
    ]
}

/// Any record, over so few ids that sequences of them often fit together.
pub fn any_record() -> impl Strategy<Value = MetadataRecord> {
    prop_oneof![
        3 => (any_tenant(), any_topic_id(), "[a-c][._][a-c]").prop_map(|(tenant, topic_id, name)| {
            MetadataRecord::Topic { tenant, topic_id, name: name.parse().unwrap() }
        }),
        1 => (any_tenant(), any_topic_id())
            .prop_map(|(tenant, topic_id)| MetadataRecord::RemoveTopic { tenant, topic_id }),
        6 => (any_tenant(), any_topic_id(), 0i32..4, any_brokers(), prop::option::of(0i32..4), 0i32..9).prop_map(
            |(tenant, topic_id, partition, replicas, leader, leader_epoch)| MetadataRecord::Partition {
                tenant,
                topic_id,
                partition,
                in_sync_replicas: replicas.clone(),
                replicas,
                leader,
                leader_epoch,
                partition_epoch: leader_epoch,
            }
        ),
        3 => (
            any_tenant(),
            any_topic_id(),
            0i32..4,
            prop::option::of(prop::option::of(0i32..4)),
            prop::option::of(any_brokers()),
            prop::option::of(any_brokers()),
        )
            .prop_map(|(tenant, topic_id, partition, leader, in_sync_replicas, replicas)| {
                MetadataRecord::PartitionChange { tenant, topic_id, partition, leader, in_sync_replicas, replicas }
            }),
        3 => (any_resource(), "[a-d]", any_value())
            .prop_map(|(resource, name, value)| MetadataRecord::Config { resource, name, value }),
        2 => (0i32..4, 0i64..9, any::<bool>())
            .prop_map(|(broker_id, broker_epoch, fenced)| register(broker_id, broker_epoch, fenced)),
        1 => (0i32..4, 0i64..9, any::<bool>()).prop_map(|(broker_id, broker_epoch, fenced)| {
            MetadataRecord::FenceBroker { broker_id, broker_epoch, fenced }
        }),
        1 => (0i32..4, 0i64..9)
            .prop_map(|(broker_id, broker_epoch)| MetadataRecord::UnregisterBroker { broker_id, broker_epoch }),
        1 => (0i32..4, 0i64..5_000).prop_map(|(broker_id, next_producer_id)| {
            MetadataRecord::ProducerIds { broker_id, next_producer_id }
        }),
        3 => (any_tenant(), one_of_few_acls()).prop_map(|(tenant, acl)| MetadataRecord::AddAcl { tenant, acl }),
        2 => (any_tenant(), any_acl()).prop_map(|(tenant, acl)| MetadataRecord::AddAcl { tenant, acl }),
        2 => (any_tenant(), one_of_few_acls()).prop_map(|(tenant, acl)| MetadataRecord::RemoveAcl { tenant, acl }),
    ]
}

/// The image of those records that apply.
pub fn image_of(records: &[MetadataRecord]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for record in records {
        // A refused record leaves the image as it was; that it does is a law of its own.
        let _ = image.apply(record);
    }
    image
}
