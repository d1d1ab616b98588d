//! Which operations a principal may use, as the bit fields of Metadata, DescribeCluster and DescribeGroups
//! (KIP-430): bit `n` stands for Kafka's AclOperation with code `n`.

use millstream_api::role::{KafkaResource, Operation, Operations};
use millstream_metadata::acl::CLUSTER_NAME;

use crate::authorizer::grants::Grants;

/// Kafka's value for "was not asked".
pub(crate) const NOT_ASKED: i32 = i32::MIN;

/// What can be done to a topic.
const TOPIC: Operations = Operations::of(&[
    Operation::Read,
    Operation::Write,
    Operation::Create,
    Operation::Delete,
    Operation::Alter,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
]);
/// What can be done to a cluster. ClusterAction is for brokers only.
const CLUSTER: Operations = Operations::of(&[
    Operation::Create,
    Operation::Alter,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
    Operation::IdempotentWrite,
]);
/// What can be done to a consumer group.
const GROUP: Operations = Operations::of(&[
    Operation::Read,
    Operation::Delete,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
]);

/// What may be done to a topic.
pub(crate) fn on_topic(grants: &Grants, name: &str) -> i32 {
    bits(grants.operations(KafkaResource::Topic, name), TOPIC)
}

/// What may be done to a group.
pub(crate) fn on_group(grants: &Grants, group_id: &str) -> i32 {
    bits(grants.operations(KafkaResource::Group, group_id), GROUP)
}

/// What may be done to the logical cluster; nothing for a principal that may not describe it, as in Kafka.
pub(crate) fn on_cluster(grants: &Grants) -> i32 {
    let allowed = grants.operations(KafkaResource::Cluster, CLUSTER_NAME);
    if allowed.contains(Operation::Describe) { bits(allowed, CLUSTER) } else { 0 }
}

/// Every operation there is has a bit below the one of [`NOT_ASKED`].
fn bits(allowed: Operations, supported: Operations) -> i32 {
    (allowed.0 & supported.0).cast_signed()
}
