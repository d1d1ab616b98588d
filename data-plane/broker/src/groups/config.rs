//! Settings of the group coordinator, with Kafka's defaults and this service's bounds.

/// Settings of the group coordinator. Kafka's name of each setting stands in its comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for more members.
    pub initial_rebalance_delay_ms: i32,
    /// How long a new member may wait for its first join to complete; it does not send heartbeats meanwhile.
    pub new_member_join_timeout_ms: i32,
    /// `group.max.size`: members of one group, and as many that were given an id and have not joined yet.
    pub max_group_size: usize,
    /// Names, subscriptions and assignments of all members of one group, in bytes.
    pub max_group_bytes: usize,
    /// Groups of one tenant.
    pub max_groups_per_tenant: usize,
    /// Partitions with a committed offset of one group.
    pub max_offsets_per_group: usize,
    /// `offset.metadata.max.bytes`.
    pub max_offset_metadata_bytes: usize,
    /// `offsets.retention.minutes`: how long offsets outlive the group's last member.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: u64,
    /// Shards that the groups are spread over; fixed for the life of a data directory.
    pub shards: u32,
    /// Records appended to a shard's log after which its state is written as a snapshot and the log cut.
    pub snapshot_after_records: u64,
    /// Bytes appended to a shard's log after which its state is written as a snapshot and the log cut.
    pub snapshot_after_bytes: u64,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            new_member_join_timeout_ms: 300_000,
            max_group_size: 10_000,
            max_group_bytes: 16 * 1024 * 1024,
            max_groups_per_tenant: 10_000,
            max_offsets_per_group: 100_000,
            max_offset_metadata_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
            shards: 8,
            snapshot_after_records: 25_000,
            snapshot_after_bytes: 32 * 1024 * 1024,
        }
    }
}
