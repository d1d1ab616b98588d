//! Count quotas: how many objects of a kind an organization, an environment, a cluster or a principal may have.
//!
//! Codes and limits are those of Confluent Cloud. One table; the store counts by it and service-quota/v1 shows it. An
//! operator may raise a limit, which the store knows; this module knows the limits that hold without that.

use millstream_api::ids::{EnvironmentId, LogicalClusterId, ServiceAccountId, UserId};
use millstream_api::plan;

/// What a quota belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaScope {
    /// The organization as a whole.
    Organization,
    /// One environment.
    Environment,
    /// One Kafka cluster.
    KafkaCluster,
    /// One service account.
    ServiceAccount,
    /// One user.
    UserAccount,
}

impl QuotaScope {
    /// Every scope, as service-quota/v1 lists them.
    pub const ALL: [Self; 5] =
        [Self::Organization, Self::Environment, Self::KafkaCluster, Self::ServiceAccount, Self::UserAccount];

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "ORGANIZATION",
            Self::Environment => "ENVIRONMENT",
            Self::KafkaCluster => "KAFKA_CLUSTER",
            Self::ServiceAccount => "SERVICE_ACCOUNT",
            Self::UserAccount => "USER_ACCOUNT",
        }
    }
}

/// Over which time a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// What exists now: a deletion makes room.
    Present,
    /// What was made since midnight UTC: a deletion makes no room.
    Day,
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition {
    /// The stable name, such as `iam.max_environments.per_org`.
    pub code: &'static str,
    /// What it belongs to.
    pub scope: QuotaScope,
    /// Name for people.
    pub display_name: &'static str,
    /// The limit without a raise. That of keys of a cluster comes from the cluster's plan instead.
    pub limit: i64,
    /// Over which time it counts.
    pub window: Window,
    /// The field of the creating request that an error points at.
    pub pointer: &'static str,
}

const fn present(
    code: &'static str,
    scope: QuotaScope,
    display_name: &'static str,
    limit: i64,
    pointer: &'static str,
) -> Definition {
    Definition { code, scope, display_name, limit, window: Window::Present, pointer }
}

/// Environments of the organization.
pub const ENVIRONMENTS: Definition =
    present("iam.max_environments.per_org", QuotaScope::Organization, "Environments in an organization", 25, "");
/// Kafka clusters of the organization.
pub const CLUSTERS: Definition =
    present("iam.max_kafka_clusters.per_org", QuotaScope::Organization, "Kafka clusters in an organization", 400, "");
/// Service accounts of the organization.
pub const SERVICE_ACCOUNTS: Definition = present(
    "iam.max_service_accounts.per_org",
    QuotaScope::Organization,
    "Service accounts in an organization",
    1_000,
    "",
);
/// Users of the organization.
pub const USERS: Definition =
    present("iam.max_users.per_org", QuotaScope::Organization, "Users in an organization", 1_000, "");
/// Cloud keys of the organization.
pub const CLOUD_KEYS: Definition =
    present("iam.max_cloud_api_keys.per_org", QuotaScope::Organization, "Cloud API keys in an organization", 1_000, "");
/// Role bindings of the organization, at whatever scope. Not the 250,000 of Confluent Cloud: a physical cluster that
/// gets its first cluster of the organization learns all of them in one message.
pub const ROLE_BINDINGS: Definition = present(
    "iam.max_rbac_role_bindings_all_roles.per_org",
    QuotaScope::Organization,
    "Role bindings in an organization",
    10_000,
    "/crn_pattern",
);
/// Role bindings at the organization itself and at its environments.
pub const ROLE_BINDINGS_ABOVE_CLUSTERS: Definition = present(
    "iam.max_rbac_role_bindings.per_org_plus_envs",
    QuotaScope::Organization,
    "Role bindings at an organization and its environments",
    1_000,
    "/crn_pattern",
);
/// Kafka clusters that the organization made today.
pub const CLUSTER_CREATIONS: Definition = Definition {
    code: "kafka.max_kafka_creation.per_day",
    scope: QuotaScope::Organization,
    display_name: "Kafka clusters created in an organization per day (UTC)",
    limit: 20,
    window: Window::Day,
    pointer: "",
};
/// Kafka clusters of one environment.
pub const CLUSTERS_OF_ENVIRONMENT: Definition = present(
    "kafka.max_kafka_clusters.per_env",
    QuotaScope::Environment,
    "Kafka clusters in an environment",
    20,
    "/spec/environment/id",
);
/// Kafka clusters of one environment that are being made.
pub const PENDING_CLUSTERS_OF_ENVIRONMENT: Definition = present(
    "kafka.max_pending_kafka_clusters.per_env",
    QuotaScope::Environment,
    "Kafka clusters being provisioned in an environment",
    3,
    "/spec/environment/id",
);
/// CKUs of all Dedicated clusters of one environment.
pub const CKUS_OF_ENVIRONMENT: Definition = present(
    "kafka.max_ckus.per_env",
    QuotaScope::Environment,
    "CKUs of Dedicated clusters in an environment",
    50,
    "/spec/config/cku",
);
/// CKUs of one Dedicated cluster.
pub const CKUS_OF_CLUSTER: Definition = present(
    "kafka.max_ckus.per_cluster",
    QuotaScope::KafkaCluster,
    "CKUs of a Dedicated cluster",
    24,
    "/spec/config/cku",
);
/// Client quotas of one cluster.
pub const CLIENT_QUOTAS_OF_CLUSTER: Definition = present(
    "kafka.max_client_quotas.per_cluster",
    QuotaScope::KafkaCluster,
    "Client quotas of a Kafka cluster",
    1_000,
    "/spec/cluster/id",
);
/// Kafka keys of one cluster.
pub const KEYS_OF_CLUSTER: Definition = present(
    "kafka.max_api_keys.per_cluster",
    QuotaScope::KafkaCluster,
    "API keys of a Kafka cluster",
    50,
    "/spec/resource/id",
);
/// Role bindings at one cluster and within it.
pub const ROLE_BINDINGS_OF_CLUSTER: Definition = present(
    "iam.max_rbac_role_bindings.per_cluster",
    QuotaScope::KafkaCluster,
    "Role bindings at a Kafka cluster",
    5_000,
    "/crn_pattern",
);
/// Cloud keys of one service account.
pub const CLOUD_KEYS_OF_SERVICE_ACCOUNT: Definition = present(
    "iam.max_cloud_api_keys.per_service_account",
    QuotaScope::ServiceAccount,
    "Cloud API keys of a service account",
    100,
    "/spec/owner/id",
);
/// Kafka keys of one service account.
pub const CLUSTER_KEYS_OF_SERVICE_ACCOUNT: Definition = present(
    "iam.max_cluster_api_keys.per_service_account",
    QuotaScope::ServiceAccount,
    "Kafka API keys of a service account",
    100,
    "/spec/owner/id",
);
/// Cloud keys of one user.
pub const CLOUD_KEYS_OF_USER: Definition = present(
    "iam.max_cloud_api_keys.per_user",
    QuotaScope::UserAccount,
    "Cloud API keys of a user",
    10,
    "/spec/owner/id",
);
/// Kafka keys of one user.
pub const CLUSTER_KEYS_OF_USER: Definition = present(
    "iam.max_cluster_api_keys.per_user",
    QuotaScope::UserAccount,
    "Kafka API keys of a user",
    10,
    "/spec/owner/id",
);

/// Every quota, in the order in which service-quota/v1 shows them: by scope, then by code.
pub const ALL: [&Definition; 19] = [
    &CLOUD_KEYS,
    &ENVIRONMENTS,
    &CLUSTERS,
    &ROLE_BINDINGS_ABOVE_CLUSTERS,
    &ROLE_BINDINGS,
    &SERVICE_ACCOUNTS,
    &USERS,
    &CLUSTER_CREATIONS,
    &CKUS_OF_ENVIRONMENT,
    &CLUSTERS_OF_ENVIRONMENT,
    &PENDING_CLUSTERS_OF_ENVIRONMENT,
    &ROLE_BINDINGS_OF_CLUSTER,
    &KEYS_OF_CLUSTER,
    &CKUS_OF_CLUSTER,
    &CLIENT_QUOTAS_OF_CLUSTER,
    &CLOUD_KEYS_OF_SERVICE_ACCOUNT,
    &CLUSTER_KEYS_OF_SERVICE_ACCOUNT,
    &CLOUD_KEYS_OF_USER,
    &CLUSTER_KEYS_OF_USER,
];

/// A number of places in one quota of one object, to be taken or given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The quota.
    pub quota: &'static Definition,
    /// Id of the object that it belongs to; empty for the organization.
    pub scope_id: String,
    /// Places.
    pub amount: i64,
    /// The limit unless an operator raised it.
    pub limit: i64,
}

impl Share {
    fn of(quota: &'static Definition, scope_id: &str) -> Self {
        Self { quota, scope_id: scope_id.to_owned(), amount: 1, limit: quota.limit }
    }

    /// One place in a quota of the organization.
    pub fn of_organization(quota: &'static Definition) -> Self {
        Self::of(quota, "")
    }

    /// One place in a quota of an environment.
    pub fn of_environment(quota: &'static Definition, id: &EnvironmentId) -> Self {
        Self::of(quota, id.as_str())
    }

    /// One place in a quota of a cluster.
    pub fn of_cluster(quota: &'static Definition, id: &LogicalClusterId) -> Self {
        Self::of(quota, id.as_str())
    }

    /// So many places instead of one.
    pub fn times(self, amount: i64) -> Self {
        Self { amount, ..self }
    }

    /// One key of a cluster, as many as the plan of the cluster's kind allows.
    pub fn key_of_cluster(id: &LogicalClusterId, kind: &str) -> Self {
        Self { limit: keys_of_kind(kind), ..Self::of(&KEYS_OF_CLUSTER, id.as_str()) }
    }

    /// One Cloud key of a service account.
    pub fn cloud_key_of_service_account(id: &ServiceAccountId) -> Self {
        Self::of(&CLOUD_KEYS_OF_SERVICE_ACCOUNT, id.as_str())
    }

    /// One Kafka key of a service account.
    pub fn cluster_key_of_service_account(id: &ServiceAccountId) -> Self {
        Self::of(&CLUSTER_KEYS_OF_SERVICE_ACCOUNT, id.as_str())
    }

    /// One Cloud key of a user.
    pub fn cloud_key_of_user(id: &UserId) -> Self {
        Self::of(&CLOUD_KEYS_OF_USER, id.as_str())
    }

    /// One Kafka key of a user.
    pub fn cluster_key_of_user(id: &UserId) -> Self {
        Self::of(&CLUSTER_KEYS_OF_USER, id.as_str())
    }
}

/// Kafka keys that a cluster of a kind may have.
pub fn keys_of_kind(kind: &str) -> i64 {
    let plan = plan::PLANS.into_iter().find(|plan| plan.kind.as_str() == kind);
    plan.map_or(KEYS_OF_CLUSTER.limit, |plan| i64::try_from(plan.limits(0).api_keys).unwrap_or(i64::MAX))
}

/// Puts shares in the one order in which their counters are locked, merged where they name the same counter, so that
/// two requests never wait for each other.
pub fn in_locking_order(shares: impl IntoIterator<Item = Share>) -> Vec<Share> {
    let mut shares: Vec<Share> = shares.into_iter().collect();
    shares.sort_by(|left, right| {
        (left.quota.code, left.scope_id.as_str()).cmp(&(right.quota.code, right.scope_id.as_str()))
    });
    let mut merged: Vec<Share> = Vec::with_capacity(shares.len());
    for share in shares {
        match merged.last_mut() {
            Some(last) if last.quota.code == share.quota.code && last.scope_id == share.scope_id => {
                last.amount += share.amount;
            }
            _ => merged.push(share),
        }
    }
    merged.retain(|share| share.amount != 0);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_names_its_scope_and_stands_once() {
        for definition in ALL {
            let suffix = match definition.scope {
                QuotaScope::Organization => [".per_org", ".per_org_plus_envs", ".per_day"].as_slice(),
                QuotaScope::Environment => &[".per_env"],
                QuotaScope::KafkaCluster => &[".per_cluster"],
                QuotaScope::ServiceAccount => &[".per_service_account"],
                QuotaScope::UserAccount => &[".per_user"],
            };
            assert!(suffix.iter().any(|suffix| definition.code.ends_with(suffix)), "{}", definition.code);
            let same = ALL.iter().filter(|other| other.code == definition.code).count();
            assert_eq!(same, 1, "{}", definition.code);
        }
    }

    #[test]
    fn keys_of_a_cluster_are_limited_by_its_plan() {
        assert_eq!(["Basic", "Standard", "Dedicated"].map(keys_of_kind), [50, 100, 2_000]);
    }

    #[test]
    fn shares_of_one_counter_are_taken_in_one_step_and_counters_always_in_the_same_order() {
        let environment: EnvironmentId = "env-a".parse().expect("an id");
        let pending = || Share::of_environment(&PENDING_CLUSTERS_OF_ENVIRONMENT, &environment);
        let cloud = || Share::of_organization(&CLOUD_KEYS);
        let ordered = in_locking_order([pending(), cloud(), pending(), pending()]);
        assert_eq!(ordered, [cloud(), Share { amount: 3, ..pending() }]);
    }
}
