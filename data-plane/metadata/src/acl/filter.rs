//! Which ACLs are meant, with Kafka's own semantics of ANY, MATCH, LITERAL and PREFIXED.

use millstream_api::role::{KafkaResource, Operation};

use super::{AccessControlEntry, Acl, AclHost, AclPrincipal, PatternType, Permission, ResourcePattern, WILDCARD};

/// What a field must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<T> {
    /// It does not matter.
    Any,
    /// This and nothing else.
    Exactly(T),
    /// Something that no ACL of a tenant has, such as a delegation token.
    Impossible,
}

impl<T: PartialEq> Wanted<T> {
    fn allows(&self, actual: &T) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => wanted == actual,
            Self::Impossible => false,
        }
    }

    /// A value if it could be made of what was given.
    pub(super) fn of<E>(parsed: Result<T, E>) -> Self {
        parsed.map_or(Self::Impossible, Self::Exactly)
    }
}

/// How the name of a filter is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternFilter {
    /// With the name of the pattern, of whichever type it is.
    Any,
    /// With what the pattern covers: a literal of this name, the wildcard, or a prefix of it.
    Match,
    /// With the name of patterns of this type.
    Exactly(PatternType),
}

/// Which ACLs are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclFilter {
    /// Which kind of resource.
    pub resource_type: Wanted<KafkaResource>,
    /// The name, or any.
    pub resource_name: Option<String>,
    /// How the name is compared.
    pub pattern: PatternFilter,
    /// Whom the ACL is about.
    pub principal: Wanted<AclPrincipal>,
    /// From where.
    pub host: Wanted<AclHost>,
    /// What.
    pub operation: Wanted<Operation>,
    /// May or may not.
    pub permission: Wanted<Permission>,
}

impl AclFilter {
    /// Every ACL.
    pub fn everything() -> Self {
        Self {
            resource_type: Wanted::Any,
            resource_name: None,
            pattern: PatternFilter::Any,
            principal: Wanted::Any,
            host: Wanted::Any,
            operation: Wanted::Any,
            permission: Wanted::Any,
        }
    }

    /// Whether this ACL is meant.
    pub fn matches(&self, acl: &Acl) -> bool {
        self.matches_resource(&acl.resource) && self.matches_entry(&acl.entry)
    }

    /// Whether ACLs on this resource can be meant.
    pub fn matches_resource(&self, resource: &ResourcePattern) -> bool {
        let right_type = match self.pattern {
            PatternFilter::Exactly(wanted) => wanted == resource.pattern_type,
            PatternFilter::Any | PatternFilter::Match => true,
        };
        right_type && self.resource_type.allows(&resource.resource_type) && self.matches_name(resource)
    }

    /// Whether an ACL of this content, on a resource that is meant, is meant.
    pub fn matches_entry(&self, entry: &AccessControlEntry) -> bool {
        self.principal.allows(&entry.principal)
            && self.host.allows(&entry.host)
            && self.operation.allows(&entry.operation)
            && self.permission.allows(&entry.permission)
    }

    fn matches_name(&self, resource: &ResourcePattern) -> bool {
        let Some(name) = &self.resource_name else { return true };
        match (self.pattern, resource.pattern_type) {
            (PatternFilter::Any | PatternFilter::Exactly(_), _) => *name == resource.name,
            (PatternFilter::Match, PatternType::Literal) => *name == resource.name || resource.name == WILDCARD,
            (PatternFilter::Match, PatternType::Prefixed) => name.starts_with(&resource.name),
        }
    }
}
