//! Access control lists: who may, or may not, do what to which resource of a tenant, and filters over them.
//!
//! An [`Acl`] that exists here was checked: its principal is one that a tenant can have, its host is an address or
//! everyone, its name is the only one that a cluster has. Requests come as [`UncheckedAcl`] and [`UncheckedFilter`],
//! in Kafka's numbers. Filters match exactly as in Kafka. Never decides what anybody may do: brokers do.

mod codes;
mod filter;
mod unchecked;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use millstream_api::ids::{ParseIdError, Principal};
use millstream_api::role::{KafkaResource, Operation};

pub use codes::{ANY_CODE, Code, MATCH_CODE, OPERATIONS, PATTERN_TYPES, PERMISSIONS, RESOURCE_TYPES};
pub use filter::{AclFilter, PatternFilter, Wanted};
pub use unchecked::{AclError, UncheckedAcl, UncheckedFilter};

use crate::codec::{FieldReader, FieldWriter};
use crate::records::DecodeError;

/// The name of the only resource of type CLUSTER, as in Kafka.
pub const CLUSTER_NAME: &str = "kafka-cluster";
/// A literal pattern of this name covers every name.
pub const WILDCARD: &str = "*";
/// The principal that stands for every principal of the tenant.
const EVERY_PRINCIPAL: &str = "User:*";
/// The longest name of a resource: topics and groups have shorter ones.
pub const MAX_RESOURCE_NAME_BYTES: usize = 1_024;

/// How the name of a pattern is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PatternType {
    /// Exactly this name, or every name if it is `*`.
    Literal,
    /// Every name that begins so.
    Prefixed,
}

/// Whether an ACL allows or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Wins over every [`Permission::Allow`] and every role.
    Deny,
    /// Allows, if nothing denies.
    Allow,
}

/// Whom an ACL is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AclPrincipal {
    /// `User:*`: every principal of the tenant.
    Everyone,
    /// One service account or user.
    One(Principal),
}

/// Where requests must come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AclHost {
    /// `*`: from anywhere.
    Anywhere,
    /// From this address.
    Address(IpAddr),
}

/// What an ACL is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourcePattern {
    /// Which kind of resource.
    pub resource_type: KafkaResource,
    /// How the name is meant.
    pub pattern_type: PatternType,
    /// The name.
    pub name: String,
}

/// Who may or may not do what to a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessControlEntry {
    /// Who.
    pub principal: AclPrincipal,
    /// From where.
    pub host: AclHost,
    /// What.
    pub operation: Operation,
    /// May or may not.
    pub permission: Permission,
}

/// One access control list entry with the resource that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Acl {
    /// The resource.
    pub resource: ResourcePattern,
    /// Who may or may not do what to it.
    pub entry: AccessControlEntry,
}

/// A text that is neither `*` nor an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("host must be * or an IP address")]
pub struct ParseHostError;

impl fmt::Display for AclPrincipal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => formatter.write_str(EVERY_PRINCIPAL),
            Self::One(principal) => principal.fmt(formatter),
        }
    }
}

impl FromStr for AclPrincipal {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if text == EVERY_PRINCIPAL { Ok(Self::Everyone) } else { text.parse().map(Self::One) }
    }
}

impl fmt::Display for AclHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anywhere => formatter.write_str(WILDCARD),
            Self::Address(address) => address.fmt(formatter),
        }
    }
}

impl FromStr for AclHost {
    type Err = ParseHostError;

    /// An IPv4 address in the form of IPv6 is the IPv4 address, as it is for the sockets that requests come from.
    fn from_str(text: &str) -> Result<Self, ParseHostError> {
        if text == WILDCARD {
            return Ok(Self::Anywhere);
        }
        let address: IpAddr = text.parse().map_err(|_| ParseHostError)?;
        Ok(Self::Address(address.to_canonical()))
    }
}

impl ResourcePattern {
    /// Whether the name is one that a resource of this type can have.
    fn has_legal_name(&self) -> bool {
        let fits = !self.name.is_empty() && self.name.len() <= MAX_RESOURCE_NAME_BYTES;
        fits && (self.resource_type != KafkaResource::Cluster || self.name == CLUSTER_NAME)
    }
}

impl Acl {
    pub(crate) fn encode(&self, writer: &mut FieldWriter<'_>) {
        writer.byte(codes::code_of(RESOURCE_TYPES, self.resource.resource_type) as u8);
        writer.byte(codes::code_of(PATTERN_TYPES, self.resource.pattern_type) as u8);
        writer.text(&self.resource.name);
        writer.text(&self.entry.principal.to_string());
        writer.text(&self.entry.host.to_string());
        writer.byte(codes::code_of(OPERATIONS, self.entry.operation) as u8);
        writer.byte(codes::code_of(PERMISSIONS, self.entry.permission) as u8);
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        let resource = ResourcePattern {
            resource_type: decode_code(reader, RESOURCE_TYPES, "ACL resource type")?,
            pattern_type: decode_code(reader, PATTERN_TYPES, "ACL pattern type")?,
            name: reader.text("ACL resource name")?.to_owned(),
        };
        if !resource.has_legal_name() {
            return Err(DecodeError::Invalid { field: "ACL resource name" });
        }
        let entry = AccessControlEntry {
            principal: reader.parsed("ACL principal")?,
            host: decode_host(reader)?,
            operation: decode_code(reader, OPERATIONS, "ACL operation")?,
            permission: decode_code(reader, PERMISSIONS, "ACL permission")?,
        };
        Ok(Self { resource, entry })
    }
}

/// An address has one form here, so that equal records have equal bytes.
fn decode_host(reader: &mut FieldReader<'_>) -> Result<AclHost, DecodeError> {
    let text = reader.text("ACL host")?;
    let host = text.parse::<AclHost>().ok().filter(|host| host.to_string() == text);
    host.ok_or(DecodeError::Invalid { field: "ACL host" })
}

fn decode_code<T: Copy + PartialEq>(
    reader: &mut FieldReader<'_>,
    codes: &[Code<T>],
    field: &'static str,
) -> Result<T, DecodeError> {
    codes::by_code(codes, reader.byte()? as i8).ok_or(DecodeError::Invalid { field })
}
