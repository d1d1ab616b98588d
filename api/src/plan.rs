//! The plan table: what each kind of Kafka cluster may use and what it offers. One table; the control plane places and
//! validates with it, brokers enforce it.
//!
//! Figures are those of Confluent Cloud's cluster types (2026). A cluster's limits grow with its units (CKUs of a
//! Dedicated cluster, eCKUs of the others) up to what one cluster of the kind may have. A megabyte of a rate has
//! 1,000,000 bytes, that of a message 1,048,576.

use crate::rest::cmk::ClusterKind;

/// Counts changes of the table, so that a report can say which one was in force.
pub const VERSION: u32 = 1;

const MB: u64 = 1_000_000;
const TB: u64 = 1_000_000_000_000;
const MIB: u32 = 1_048_576;

/// One kind of cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The kind.
    pub kind: ClusterKind,
    /// Fewest units of a cluster.
    pub min_units: u32,
    /// Fewest units of a cluster that spans zones.
    pub min_units_multi_zone: u32,
    /// Most units of a cluster.
    pub max_units: u32,
    /// What each unit adds.
    per_unit: Limits,
    /// What a cluster has at most, however many units.
    at_most: Limits,
    /// Largest record batch, in bytes.
    pub max_message_bytes: u32,
    /// Whether role bindings may name topics, groups and transactional ids.
    pub resource_role_bindings: bool,
    /// Whether client quotas may be set.
    pub client_quotas: bool,
    /// Whether it may be protected from deletion.
    pub deletion_protection: bool,
    /// Whether it may span zones.
    pub multi_zone: bool,
}

/// What one cluster may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes produced per second.
    pub ingress_bytes_per_second: u64,
    /// Bytes fetched per second.
    pub egress_bytes_per_second: u64,
    /// Requests per second.
    pub requests_per_second: u64,
    /// Open connections.
    pub connections: u64,
    /// New connections per second.
    pub new_connections_per_second: u64,
    /// Partitions, before replication.
    pub partitions: u64,
    /// Bytes stored, before replication; none for no limit.
    pub storage_bytes: Option<u64>,
    /// Partitions created and deleted in five minutes.
    pub partition_changes_per_5_minutes: u64,
    /// ACLs.
    pub acls: u64,
    /// Kafka API keys.
    pub api_keys: u64,
    /// Requests per second to the administrative paths of kafka/v3.
    pub rest_admin_requests_per_second: u64,
}

const BASIC: Plan = Plan {
    kind: ClusterKind::Basic,
    min_units: 1,
    min_units_multi_zone: 1,
    max_units: 50,
    per_unit: Limits {
        ingress_bytes_per_second: 5 * MB,
        egress_bytes_per_second: 15 * MB,
        // Confluent says 100 per eCKU and 15,000 per cluster of 50, which do not meet; this reaches the cluster's.
        requests_per_second: 300,
        connections: 20,
        new_connections_per_second: 5,
        partitions: 30,
        storage_bytes: Some(5 * TB),
        partition_changes_per_5_minutes: 250,
        acls: 1_000,
        api_keys: 50,
        rest_admin_requests_per_second: 25,
    },
    at_most: Limits {
        ingress_bytes_per_second: 250 * MB,
        egress_bytes_per_second: 750 * MB,
        requests_per_second: 15_000,
        connections: 1_000,
        new_connections_per_second: 80,
        partitions: 1_500,
        storage_bytes: Some(5 * TB),
        partition_changes_per_5_minutes: 250,
        acls: 1_000,
        api_keys: 50,
        rest_admin_requests_per_second: 25,
    },
    max_message_bytes: 8 * MIB,
    resource_role_bindings: false,
    client_quotas: false,
    deletion_protection: false,
    multi_zone: false,
};

const STANDARD: Plan = Plan {
    kind: ClusterKind::Standard,
    min_units: 1,
    min_units_multi_zone: 2,
    max_units: 10,
    per_unit: Limits {
        ingress_bytes_per_second: 25 * MB,
        egress_bytes_per_second: 75 * MB,
        requests_per_second: 1_500,
        connections: 1_000,
        new_connections_per_second: 50,
        partitions: 250,
        storage_bytes: None,
        partition_changes_per_5_minutes: 500,
        acls: 1_000,
        api_keys: 100,
        rest_admin_requests_per_second: 25,
    },
    at_most: Limits {
        ingress_bytes_per_second: 250 * MB,
        egress_bytes_per_second: 750 * MB,
        requests_per_second: 15_000,
        connections: 10_000,
        new_connections_per_second: 500,
        partitions: 2_500,
        storage_bytes: None,
        partition_changes_per_5_minutes: 500,
        acls: 1_000,
        api_keys: 100,
        rest_admin_requests_per_second: 25,
    },
    max_message_bytes: 8 * MIB,
    resource_role_bindings: true,
    client_quotas: false,
    deletion_protection: false,
    multi_zone: true,
};

const DEDICATED: Plan = Plan {
    kind: ClusterKind::Dedicated,
    min_units: 1,
    min_units_multi_zone: 2,
    max_units: 152,
    per_unit: Limits {
        ingress_bytes_per_second: 60 * MB,
        egress_bytes_per_second: 180 * MB,
        requests_per_second: 15_000,
        connections: 18_000,
        new_connections_per_second: 500,
        partitions: 4_500,
        storage_bytes: None,
        partition_changes_per_5_minutes: 5_000,
        acls: 10_000,
        api_keys: 2_000,
        rest_admin_requests_per_second: 300,
    },
    at_most: Limits {
        ingress_bytes_per_second: 9_120 * MB,
        egress_bytes_per_second: 27_360 * MB,
        requests_per_second: 2_280_000,
        connections: 2_736_000,
        new_connections_per_second: 76_000,
        partitions: 100_000,
        storage_bytes: None,
        partition_changes_per_5_minutes: 5_000,
        acls: 10_000,
        api_keys: 2_000,
        rest_admin_requests_per_second: 45_600,
    },
    max_message_bytes: 20 * MIB,
    resource_role_bindings: true,
    client_quotas: true,
    deletion_protection: true,
    multi_zone: true,
};

/// Every kind that is offered.
pub const PLANS: [&Plan; 3] = [&BASIC, &STANDARD, &DEDICATED];

/// The plan of a kind; none if the kind is not offered.
pub fn of(kind: ClusterKind) -> Option<&'static Plan> {
    PLANS.into_iter().find(|plan| plan.kind == kind)
}

impl Plan {
    /// The limits of a cluster of so many units; 0 stands for as many as the plan allows, and more than that count as
    /// that.
    pub fn limits(&self, units: u32) -> Limits {
        let units = if units == 0 { self.max_units } else { units.min(self.max_units) };
        let scale = |per_unit: u64, at_most: u64| per_unit.saturating_mul(u64::from(units)).min(at_most);
        let (unit, most) = (&self.per_unit, &self.at_most);
        Limits {
            ingress_bytes_per_second: scale(unit.ingress_bytes_per_second, most.ingress_bytes_per_second),
            egress_bytes_per_second: scale(unit.egress_bytes_per_second, most.egress_bytes_per_second),
            requests_per_second: scale(unit.requests_per_second, most.requests_per_second),
            connections: scale(unit.connections, most.connections),
            new_connections_per_second: scale(unit.new_connections_per_second, most.new_connections_per_second),
            partitions: scale(unit.partitions, most.partitions),
            storage_bytes: most.storage_bytes,
            partition_changes_per_5_minutes: most.partition_changes_per_5_minutes,
            acls: most.acls,
            api_keys: most.api_keys,
            rest_admin_requests_per_second: scale(
                unit.rest_admin_requests_per_second,
                most.rest_admin_requests_per_second,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_without_a_cap_has_what_its_kind_allows() {
        for plan in PLANS {
            let most = plan.limits(0);
            assert_eq!(most, plan.limits(plan.max_units));
            assert_eq!(most, plan.limits(u32::MAX));
            assert_eq!(most.ingress_bytes_per_second, plan.at_most.ingress_bytes_per_second);
            assert_eq!(most.partitions, plan.at_most.partitions);
        }
    }

    #[test]
    fn limits_grow_with_units() {
        let one = DEDICATED.limits(1);
        let two = DEDICATED.limits(2);
        assert_eq!(one.ingress_bytes_per_second, 60_000_000);
        assert_eq!(two.ingress_bytes_per_second, 120_000_000);
        assert_eq!(two.partitions, 9_000);
        assert_eq!(BASIC.limits(1).partitions, 30);
    }

    #[test]
    fn kinds_that_are_not_offered_have_no_plan() {
        assert!(of(ClusterKind::Enterprise).is_none());
        assert!(of(ClusterKind::Freight).is_none());
        assert_eq!(of(ClusterKind::Standard).map(|plan| plan.max_units), Some(10));
    }
}
