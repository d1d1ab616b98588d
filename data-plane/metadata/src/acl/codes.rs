//! Kafka's numbers and names of what ACLs are made of. The names are those of kafka/v3.

use millstream_api::role::{KafkaResource, Operation};

use super::{PatternType, Permission};

/// Kafka's number of "any", in every enumeration of a filter.
pub const ANY_CODE: i8 = 1;
/// Kafka's number of the pattern filter MATCH.
pub const MATCH_CODE: i8 = 2;

/// A value with its number and its name.
#[derive(Debug, Clone, Copy)]
pub struct Code<T> {
    /// Kafka's number.
    pub code: i8,
    /// Its name in JSON.
    pub name: &'static str,
    /// What it is.
    pub value: T,
}

const fn code<T>(code: i8, name: &'static str, value: T) -> Code<T> {
    Code { code, name, value }
}

/// The resources that a tenant has.
pub const RESOURCE_TYPES: &[Code<KafkaResource>] = &[
    code(2, "TOPIC", KafkaResource::Topic),
    code(3, "GROUP", KafkaResource::Group),
    code(4, "CLUSTER", KafkaResource::Cluster),
    code(5, "TRANSACTIONAL_ID", KafkaResource::TransactionalId),
];

/// The ways to mean a name.
pub const PATTERN_TYPES: &[Code<PatternType>] =
    &[code(3, "LITERAL", PatternType::Literal), code(4, "PREFIXED", PatternType::Prefixed)];

/// The operations on those resources.
pub const OPERATIONS: &[Code<Operation>] = &[
    code(2, "ALL", Operation::All),
    code(3, "READ", Operation::Read),
    code(4, "WRITE", Operation::Write),
    code(5, "CREATE", Operation::Create),
    code(6, "DELETE", Operation::Delete),
    code(7, "ALTER", Operation::Alter),
    code(8, "DESCRIBE", Operation::Describe),
    code(9, "CLUSTER_ACTION", Operation::ClusterAction),
    code(10, "DESCRIBE_CONFIGS", Operation::DescribeConfigs),
    code(11, "ALTER_CONFIGS", Operation::AlterConfigs),
    code(12, "IDEMPOTENT_WRITE", Operation::IdempotentWrite),
];

/// Allow and deny.
pub const PERMISSIONS: &[Code<Permission>] = &[code(2, "DENY", Permission::Deny), code(3, "ALLOW", Permission::Allow)];

/// The value of a number.
pub(super) fn by_code<T: Copy>(codes: &[Code<T>], number: i8) -> Option<T> {
    codes.iter().find(|entry| entry.code == number).map(|entry| entry.value)
}

/// The number of a value.
pub(super) fn code_of<T: PartialEq>(codes: &[Code<T>], value: T) -> i8 {
    entry_of(codes, value).code
}

fn entry_of<T: PartialEq>(codes: &[Code<T>], value: T) -> &Code<T> {
    codes.iter().find(|entry| entry.value == value).expect("the tables hold every value of their type")
}

/// The numbers of an ACL, as Kafka's messages have them.
impl super::Acl {
    /// Kafka's number of the resource type.
    pub fn resource_type_code(&self) -> i8 {
        code_of(RESOURCE_TYPES, self.resource.resource_type)
    }

    /// Kafka's number of the pattern type.
    pub fn pattern_type_code(&self) -> i8 {
        code_of(PATTERN_TYPES, self.resource.pattern_type)
    }

    /// Kafka's number of the operation.
    pub fn operation_code(&self) -> i8 {
        code_of(OPERATIONS, self.entry.operation)
    }

    /// Kafka's number of the permission.
    pub fn permission_code(&self) -> i8 {
        code_of(PERMISSIONS, self.entry.permission)
    }

    /// `TOPIC`, …
    pub fn resource_type_name(&self) -> &'static str {
        entry_of(RESOURCE_TYPES, self.resource.resource_type).name
    }

    /// `LITERAL`, …
    pub fn pattern_type_name(&self) -> &'static str {
        entry_of(PATTERN_TYPES, self.resource.pattern_type).name
    }

    /// `READ`, …
    pub fn operation_name(&self) -> &'static str {
        entry_of(OPERATIONS, self.entry.operation).name
    }

    /// `ALLOW` or `DENY`
    pub fn permission_name(&self) -> &'static str {
        entry_of(PERMISSIONS, self.entry.permission).name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_operations_are_those_of_the_api() {
        for operation in OPERATIONS {
            assert_eq!(operation.code, operation.value as i8, "{}", operation.name);
        }
    }
}
