//! Which operations a principal may use, as the bit fields of Metadata, DescribeCluster and DescribeGroups
//! (KIP-430): bit `n` stands for Kafka's AclOperation with code `n`.
//!
//! Today a key may do everything on its own logical cluster, so the fields name every operation that the
//! resource supports.

/// Kafka's value for "was not asked".
pub(crate) const NOT_ASKED: i32 = i32::MIN;

const READ: i32 = 1 << 3;
const WRITE: i32 = 1 << 4;
const CREATE: i32 = 1 << 5;
const DELETE: i32 = 1 << 6;
const ALTER: i32 = 1 << 7;
const DESCRIBE: i32 = 1 << 8;
const CLUSTER_ACTION: i32 = 1 << 9;
const DESCRIBE_CONFIGS: i32 = 1 << 10;
const ALTER_CONFIGS: i32 = 1 << 11;
const IDEMPOTENT_WRITE: i32 = 1 << 12;

/// What can be done to a topic.
pub(crate) const TOPIC: i32 = READ | WRITE | CREATE | DELETE | ALTER | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;
/// What can be done to a cluster. ClusterAction is for brokers only.
pub(crate) const CLUSTER: i32 =
    (CREATE | DESCRIBE | ALTER | DESCRIBE_CONFIGS | ALTER_CONFIGS | IDEMPOTENT_WRITE) & !CLUSTER_ACTION;
/// What can be done to a consumer group.
pub(crate) const GROUP: i32 = READ | DELETE | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;
