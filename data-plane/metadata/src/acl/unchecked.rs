//! ACLs and filters as a requester states them, in Kafka's numbers, and what is wrong with them.

use millstream_api::role::KafkaResource;

use super::codes::{self, ANY_CODE, Code, MATCH_CODE, OPERATIONS, PATTERN_TYPES, PERMISSIONS, RESOURCE_TYPES};
use super::{
    AccessControlEntry, Acl, AclFilter, CLUSTER_NAME, MAX_RESOURCE_NAME_BYTES, PatternFilter, ResourcePattern, Wanted,
};

/// Kafka's highest numbers of enumerations whose values are not all served here: DELEGATION_TOKEN and USER are
/// resources, CREATE_TOKENS, DESCRIBE_TOKENS and TWO_PHASE_COMMIT operations that no tenant has.
const LAST_RESOURCE_TYPE: i8 = 7;
const LAST_OPERATION: i8 = 15;

/// Why ACLs are not created, or a filter cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AclError {
    /// A field is not what it must be.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which field, by its name in kafka/v3.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// A request would change too much at once.
    #[error("a request must not have or delete more than {limit} {what}")]
    TooLarge {
        /// ACLs or filters.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The plan allows no more.
    #[error("the cluster has {count} ACLs and its plan allows {limit}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
}

impl AclError {
    /// A field that is not what it must be.
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }

    /// A principal that nobody in the organization is.
    pub fn foreign_principal() -> Self {
        Self::invalid("principal", "must be User:sa-… or User:u-… of this organization, or User:*")
    }

    /// Kafka's number for this error.
    pub fn kafka_error_code(&self) -> i16 {
        match self {
            Self::Invalid { .. } => 42,
            Self::TooLarge { .. } | Self::TooMany { .. } => 44,
        }
    }
}

/// An ACL that somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct UncheckedAcl<'a> {
    /// Kafka's number.
    pub resource_type: i8,
    /// The name.
    pub resource_name: &'a str,
    /// Kafka's number.
    pub pattern_type: i8,
    /// `User:…`
    pub principal: &'a str,
    /// `*` or an address.
    pub host: &'a str,
    /// Kafka's number.
    pub operation: i8,
    /// Kafka's number.
    pub permission: i8,
}

impl UncheckedAcl<'_> {
    /// The ACL, if it is one that a tenant can have.
    pub fn check(&self) -> Result<Acl, AclError> {
        let resource = ResourcePattern {
            resource_type: one_of(RESOURCE_TYPES, self.resource_type, "resource_type")?,
            pattern_type: one_of(PATTERN_TYPES, self.pattern_type, "pattern_type")?,
            name: self.resource_name.to_owned(),
        };
        check_name(&resource)?;
        let principal = self.principal.parse().map_err(|_| AclError::foreign_principal())?;
        let host = self.host.parse().map_err(|_| AclError::invalid("host", "must be * or an IP address"))?;
        let entry = AccessControlEntry {
            principal,
            host,
            operation: one_of(OPERATIONS, self.operation, "operation")?,
            permission: one_of(PERMISSIONS, self.permission, "permission")?,
        };
        Ok(Acl { resource, entry })
    }
}

fn check_name(resource: &ResourcePattern) -> Result<(), AclError> {
    if resource.has_legal_name() {
        return Ok(());
    }
    let reason = if resource.name.is_empty() {
        "must not be empty".to_owned()
    } else if resource.resource_type == KafkaResource::Cluster {
        format!("the only valid name for the CLUSTER resource is {CLUSTER_NAME}")
    } else {
        format!("must not be longer than {MAX_RESOURCE_NAME_BYTES} bytes")
    };
    Err(AclError::invalid("resource_name", reason))
}

fn one_of<T: Copy>(codes: &[Code<T>], number: i8, field: &'static str) -> Result<T, AclError> {
    codes::by_code(codes, number).ok_or_else(|| {
        let names: Vec<&str> = codes.iter().map(|code| code.name).collect();
        AclError::invalid(field, format!("must be one of {}", names.join(", ")))
    })
}

/// A filter that somebody states.
#[derive(Debug, Clone, Copy)]
pub struct UncheckedFilter<'a> {
    /// Kafka's number.
    pub resource_type: i8,
    /// The name, or any.
    pub resource_name: Option<&'a str>,
    /// Kafka's number.
    pub pattern_type: i8,
    /// The principal, or any.
    pub principal: Option<&'a str>,
    /// The host, or any.
    pub host: Option<&'a str>,
    /// Kafka's number.
    pub operation: i8,
    /// Kafka's number.
    pub permission: i8,
}

impl UncheckedFilter<'_> {
    /// The filter, if its numbers are Kafka's. What no ACL of a tenant can have is understood and matches nothing.
    pub fn check(&self) -> Result<AclFilter, AclError> {
        let pattern = match self.pattern_type {
            ANY_CODE => PatternFilter::Any,
            MATCH_CODE => PatternFilter::Match,
            number => PatternFilter::Exactly(one_of(PATTERN_TYPES, number, "pattern_type")?),
        };
        Ok(AclFilter {
            resource_type: wanted(RESOURCE_TYPES, self.resource_type, LAST_RESOURCE_TYPE, "resource_type")?,
            resource_name: self.resource_name.map(str::to_owned),
            pattern,
            principal: self.principal.map_or(Wanted::Any, |text| Wanted::of(text.parse())),
            host: self.host.map_or(Wanted::Any, |text| Wanted::of(text.parse())),
            operation: wanted(OPERATIONS, self.operation, LAST_OPERATION, "operation")?,
            permission: wanted(PERMISSIONS, self.permission, ANY_CODE, "permission")?,
        })
    }
}

fn wanted<T: Copy + PartialEq>(
    codes: &[Code<T>],
    number: i8,
    last: i8,
    field: &'static str,
) -> Result<Wanted<T>, AclError> {
    if number == ANY_CODE {
        return Ok(Wanted::Any);
    }
    match one_of(codes, number, field) {
        Ok(value) => Ok(Wanted::Exactly(value)),
        Err(_) if (ANY_CODE..=last).contains(&number) => Ok(Wanted::Impossible),
        Err(error) => Err(error),
    }
}
