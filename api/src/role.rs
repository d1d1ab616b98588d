//! The predefined roles of role bindings, where each may be bound, and what each allows inside a Kafka cluster.
//!
//! Names and meaning are Confluent Cloud's. What a role allows in the control plane is decided there.

use std::fmt;
use std::str::FromStr;

use crate::crn::{ResourceType, Scope};

/// A predefined role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Everything in the organization.
    OrganizationAdmin,
    /// Everything in an environment.
    EnvironmentAdmin,
    /// Everything in a Kafka cluster.
    CloudClusterAdmin,
    /// Users, service accounts and keys of the organization.
    AccountAdmin,
    /// API keys of the organization or of one cluster.
    ResourceKeyAdmin,
    /// Bills and payment.
    BillingAdmin,
    /// Networks.
    NetworkAdmin,
    /// Metrics.
    MetricsViewer,
    /// Sees what there is, and how it does; no records.
    Operator,
    /// Everything on some resources, and who else may use them.
    ResourceOwner,
    /// Makes, changes and deletes resources; no records.
    DeveloperManage,
    /// Reads records.
    DeveloperRead,
    /// Writes records.
    DeveloperWrite,
}

/// A name that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a role: use one of {}", Role::names())]
pub struct UnknownRole {
    /// The name, cut to a length that is safe to print.
    pub name: String,
}

/// Operations on a Kafka resource. The discriminants are Kafka's codes of AclOperation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Operation {
    /// Every operation.
    All = 2,
    /// Fetch records, commit offsets.
    Read = 3,
    /// Produce records.
    Write = 4,
    /// Create topics.
    Create = 5,
    /// Delete.
    Delete = 6,
    /// Add partitions, change ACLs.
    Alter = 7,
    /// See that it is there.
    Describe = 8,
    /// What brokers do among themselves.
    ClusterAction = 9,
    /// See settings.
    DescribeConfigs = 10,
    /// Change settings.
    AlterConfigs = 11,
    /// Idempotent producers without transactions.
    IdempotentWrite = 12,
}

/// A set of operations: bit `n` stands for the operation with code `n`, as in Kafka's authorized operations (KIP-430).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Operations(pub u32);

impl Operations {
    /// None.
    pub const NONE: Self = Self(0);
    /// Every operation that a tenant can have.
    pub const ALL: Self = Self::of(&[
        Operation::Read,
        Operation::Write,
        Operation::Create,
        Operation::Delete,
        Operation::Alter,
        Operation::Describe,
        Operation::DescribeConfigs,
        Operation::AlterConfigs,
        Operation::IdempotentWrite,
    ]);

    /// A set of these.
    pub const fn of(operations: &[Operation]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < operations.len() {
            bits |= 1 << operations[index] as u32;
            index += 1;
        }
        Self(bits)
    }

    /// Whether one is in it.
    pub const fn contains(self, operation: Operation) -> bool {
        self.0 & (1 << operation as u32) != 0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a Kafka operation is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KafkaResource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// A transactional id.
    TransactionalId,
    /// The logical cluster.
    Cluster,
}

impl From<ResourceType> for KafkaResource {
    fn from(resource: ResourceType) -> Self {
        match resource {
            ResourceType::Topic => Self::Topic,
            ResourceType::Group => Self::Group,
            ResourceType::TransactionalId => Self::TransactionalId,
        }
    }
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 13] = [
        Self::OrganizationAdmin,
        Self::EnvironmentAdmin,
        Self::CloudClusterAdmin,
        Self::AccountAdmin,
        Self::ResourceKeyAdmin,
        Self::BillingAdmin,
        Self::NetworkAdmin,
        Self::MetricsViewer,
        Self::Operator,
        Self::ResourceOwner,
        Self::DeveloperManage,
        Self::DeveloperRead,
        Self::DeveloperWrite,
    ];

    /// The name as it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrganizationAdmin => "OrganizationAdmin",
            Self::EnvironmentAdmin => "EnvironmentAdmin",
            Self::CloudClusterAdmin => "CloudClusterAdmin",
            Self::AccountAdmin => "AccountAdmin",
            Self::ResourceKeyAdmin => "ResourceKeyAdmin",
            Self::BillingAdmin => "BillingAdmin",
            Self::NetworkAdmin => "NetworkAdmin",
            Self::MetricsViewer => "MetricsViewer",
            Self::Operator => "Operator",
            Self::ResourceOwner => "ResourceOwner",
            Self::DeveloperManage => "DeveloperManage",
            Self::DeveloperRead => "DeveloperRead",
            Self::DeveloperWrite => "DeveloperWrite",
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// Whether the role may be bound to such a scope.
    pub fn may_be_bound_to(self, scope: &Scope) -> bool {
        match self {
            Self::OrganizationAdmin | Self::AccountAdmin | Self::BillingAdmin => matches!(scope, Scope::Organization),
            Self::EnvironmentAdmin => matches!(scope, Scope::Environment(_)),
            Self::CloudClusterAdmin => matches!(scope, Scope::Cluster(..)),
            Self::NetworkAdmin => matches!(scope, Scope::Organization | Scope::Environment(_)),
            Self::ResourceKeyAdmin => matches!(scope, Scope::Organization | Scope::Cluster(..)),
            Self::MetricsViewer | Self::Operator => {
                matches!(scope, Scope::Organization | Scope::Environment(_) | Scope::Cluster(..))
            }
            Self::ResourceOwner => matches!(scope, Scope::ServiceAccount(_) | Scope::KafkaResource(..)),
            Self::DeveloperManage | Self::DeveloperRead | Self::DeveloperWrite => {
                matches!(scope, Scope::Cluster(..) | Scope::KafkaResource(..))
            }
        }
    }

    /// Whether the role is for everything in the clusters of its scope.
    pub fn administers_clusters(self) -> bool {
        matches!(self, Self::OrganizationAdmin | Self::EnvironmentAdmin | Self::CloudClusterAdmin)
    }

    /// What the role allows on a kind of Kafka resource within its scope, without what Kafka implies (Read, Write,
    /// Delete and Alter imply Describe; AlterConfigs implies DescribeConfigs). A Developer role bound to a whole
    /// cluster allows only what it names for the cluster itself, as at Confluent.
    pub fn kafka_operations(self, resource: KafkaResource) -> Operations {
        use KafkaResource::{Cluster, Group, Topic, TransactionalId};
        use Operation::{Alter, AlterConfigs, Create, Delete, Describe, DescribeConfigs, IdempotentWrite, Read, Write};
        let list: &[Operation] = match (self, resource) {
            (Self::OrganizationAdmin | Self::EnvironmentAdmin | Self::CloudClusterAdmin | Self::ResourceOwner, _) => {
                return Operations::ALL;
            }
            (
                Self::AccountAdmin
                | Self::ResourceKeyAdmin
                | Self::BillingAdmin
                | Self::NetworkAdmin
                | Self::MetricsViewer,
                _,
            ) => &[],
            (Self::Operator, Topic | Cluster) => &[Describe, DescribeConfigs],
            (Self::Operator, Group | TransactionalId) => &[Describe],
            (Self::DeveloperManage, Topic) => &[Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs],
            (Self::DeveloperManage, Group) => &[Delete, Describe],
            (Self::DeveloperManage, TransactionalId) => &[Describe],
            (Self::DeveloperManage, Cluster) => &[Create, Describe, DescribeConfigs],
            (Self::DeveloperRead, Topic | Group) => &[Read, Describe],
            (Self::DeveloperRead, TransactionalId) => &[],
            (Self::DeveloperRead, Cluster) => &[Describe],
            (Self::DeveloperWrite, Topic | TransactionalId) => &[Write, Describe],
            (Self::DeveloperWrite, Group) => &[],
            (Self::DeveloperWrite, Cluster) => &[IdempotentWrite, Describe],
        };
        Operations::of(list)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == name);
        role.ok_or_else(|| UnknownRole { name: name.chars().take(64).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_name_that_parses() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        let error = "organizationadmin".parse::<Role>().expect_err("names are case-sensitive");
        assert!(error.to_string().contains("OrganizationAdmin"));
    }

    #[test]
    fn readers_cannot_write_and_writers_cannot_read() {
        let topic = KafkaResource::Topic;
        assert!(!Role::DeveloperRead.kafka_operations(topic).contains(Operation::Write));
        assert!(!Role::DeveloperWrite.kafka_operations(topic).contains(Operation::Read));
        assert!(!Role::Operator.kafka_operations(topic).contains(Operation::Read));
        assert!(Role::CloudClusterAdmin.kafka_operations(topic).contains(Operation::Read));
    }

    #[test]
    fn no_role_of_a_tenant_allows_what_only_brokers_do() {
        for role in Role::ALL {
            assert!(!role.kafka_operations(KafkaResource::Cluster).contains(Operation::ClusterAction), "{role}");
        }
    }
}
