//! Confluent resource names as role bindings use them: which resources a role is for.
//!
//! ```text
//! crn://confluent.cloud/organization=<uuid>
//! crn://confluent.cloud/organization=<uuid>/service-account=sa-…
//! crn://confluent.cloud/organization=<uuid>/environment=env-…
//! crn://confluent.cloud/organization=<uuid>/environment=env-…/cloud-cluster=lkc-…[/kafka=lkc-…]
//! crn://confluent.cloud/organization=<uuid>/environment=env-…/cloud-cluster=lkc-…/kafka=lkc-…/topic=orders*
//! ```
//!
//! The last element is `topic`, `group` or `transactional-id`; a name that ends in `*` is a prefix, `*` alone is every
//! name. Values may be percent-encoded. Parsing is strict; printing gives the canonical form.

use std::fmt;
use std::str::FromStr;

use crate::ids::{EnvironmentId, LogicalClusterId, OrganizationId, ServiceAccountId};

/// What every CRN begins with.
const PREFIX: &str = "crn://confluent.cloud/";
/// Bytes of a CRN at most.
pub const MAX_CRN_BYTES: usize = 1_024;
/// Bytes of a resource's name at most: Kafka's longest group id that we take.
const MAX_NAME_BYTES: usize = 255;

/// Why a text is not a CRN pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseCrnError {
    /// It does not begin like one.
    #[error("a CRN begins with {PREFIX}organization=<id>")]
    Prefix,
    /// It is too long.
    #[error("a CRN has at most {MAX_CRN_BYTES} bytes")]
    TooLong,
    /// An element that cannot stand where it is.
    #[error("the element {element:?} cannot stand there: a CRN is {expected}")]
    Element {
        /// The element, cut to a length that is safe to print.
        element: String,
        /// The forms.
        expected: &'static str,
    },
    /// `cloud-cluster` and `kafka` name different clusters.
    #[error("cloud-cluster and kafka must name the same cluster")]
    DifferentClusters,
    /// A name that cannot be one.
    #[error("the name of a topic, group or transactional id has 1 to {MAX_NAME_BYTES} bytes and no * but at its end")]
    Name,
}

const EXPECTED: &str = "organization=…[/service-account=… | /environment=…[/cloud-cluster=…[/kafka=…[/topic=…|group=…|transactional-id=…]]]]";

/// What a role is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CrnPattern {
    /// The organization.
    pub organization: OrganizationId,
    /// What in it.
    pub scope: Scope,
}

/// What in an organization.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All of it.
    Organization,
    /// One service account.
    ServiceAccount(ServiceAccountId),
    /// One environment and what is in it.
    Environment(EnvironmentId),
    /// One Kafka cluster and what is in it.
    Cluster(EnvironmentId, LogicalClusterId),
    /// Some topics, groups or transactional ids of one Kafka cluster.
    KafkaResource(EnvironmentId, LogicalClusterId, ResourcePattern),
}

/// Some topics, groups or transactional ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourcePattern {
    /// Which kind.
    pub resource_type: ResourceType,
    /// The name, or how it begins. Empty with `Prefixed` for every name.
    pub name: String,
    /// How the name is meant.
    pub pattern_type: PatternType,
}

/// Kinds of resources inside a Kafka cluster that a role can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceType {
    /// `topic=`
    Topic,
    /// `group=`
    Group,
    /// `transactional-id=`
    TransactionalId,
}

/// How a name is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatternType {
    /// This name alone.
    Literal,
    /// Every name that begins so.
    Prefixed,
}

impl ResourcePattern {
    /// Whether a name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.pattern_type {
            PatternType::Literal => self.name == name,
            PatternType::Prefixed => name.starts_with(&self.name),
        }
    }
}

impl ResourceType {
    const ALL: [Self; 3] = [Self::Topic, Self::Group, Self::TransactionalId];

    fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Group => "group",
            Self::TransactionalId => "transactional-id",
        }
    }
}

impl FromStr for CrnPattern {
    type Err = ParseCrnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_CRN_BYTES {
            return Err(ParseCrnError::TooLong);
        }
        let mut elements = text.strip_prefix(PREFIX).ok_or(ParseCrnError::Prefix)?.split('/');
        let organization = elements.next().and_then(|element| value_of(element, "organization"));
        let organization = organization.and_then(|id| id.parse().ok()).ok_or(ParseCrnError::Prefix)?;
        let scope = parse_scope(elements)?;
        Ok(Self { organization, scope })
    }
}

fn parse_scope<'a>(mut elements: impl Iterator<Item = &'a str>) -> Result<Scope, ParseCrnError> {
    let Some(first) = elements.next() else { return Ok(Scope::Organization) };
    if let Some(id) = value_of(first, "service-account") {
        let scope = Scope::ServiceAccount(id.parse().map_err(|_| misplaced(first))?);
        return end(elements, scope);
    }
    let environment: EnvironmentId = parse_element(first, "environment")?;
    let Some(second) = elements.next() else { return Ok(Scope::Environment(environment)) };
    let cluster: LogicalClusterId = parse_element(second, "cloud-cluster")?;
    let Some(third) = elements.next() else { return Ok(Scope::Cluster(environment, cluster)) };
    let kafka: LogicalClusterId = parse_element(third, "kafka")?;
    if kafka != cluster {
        return Err(ParseCrnError::DifferentClusters);
    }
    let Some(fourth) = elements.next() else { return Ok(Scope::Cluster(environment, cluster)) };
    let resource_type = ResourceType::ALL.into_iter().find(|kind| value_of(fourth, kind.as_str()).is_some());
    let resource_type = resource_type.ok_or_else(|| misplaced(fourth))?;
    let name = value_of(fourth, resource_type.as_str()).ok_or_else(|| misplaced(fourth))?;
    end(elements, Scope::KafkaResource(environment, cluster, parse_name(resource_type, &name)?))
}

fn parse_name(resource_type: ResourceType, text: &str) -> Result<ResourcePattern, ParseCrnError> {
    let (name, pattern_type) = match text.strip_suffix('*') {
        Some(prefix) => (prefix, PatternType::Prefixed),
        None => (text, PatternType::Literal),
    };
    let usable = name.len() <= MAX_NAME_BYTES && !name.contains(['*', '\0']) && !text.is_empty();
    if !usable {
        return Err(ParseCrnError::Name);
    }
    Ok(ResourcePattern { resource_type, name: name.to_owned(), pattern_type })
}

fn parse_element<T: FromStr>(element: &str, key: &str) -> Result<T, ParseCrnError> {
    value_of(element, key).and_then(|value| value.parse().ok()).ok_or_else(|| misplaced(element))
}

fn end<'a>(mut elements: impl Iterator<Item = &'a str>, scope: Scope) -> Result<Scope, ParseCrnError> {
    match elements.next() {
        None => Ok(scope),
        Some(element) => Err(misplaced(element)),
    }
}

fn misplaced(element: &str) -> ParseCrnError {
    ParseCrnError::Element { element: element.chars().take(64).collect(), expected: EXPECTED }
}

/// The decoded value of `key=value`.
fn value_of(element: &str, key: &str) -> Option<String> {
    let value = element.strip_prefix(key)?.strip_prefix('=')?;
    decode(value)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = tail;
            continue;
        }
        let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
        let well_formed = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| well_formed)?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes what would end an element or begin an escape.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '/' | '%' | '=' | '?' | '#' | ' ' | ':' => encoded.push_str(&format!("%{:02X}", u32::from(character))),
            other => encoded.push(other),
        }
    }
    encoded
}

impl fmt::Display for CrnPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}organization={}", self.organization)?;
        match &self.scope {
            Scope::Organization => Ok(()),
            Scope::ServiceAccount(id) => write!(formatter, "/service-account={id}"),
            Scope::Environment(environment) => write!(formatter, "/environment={environment}"),
            Scope::Cluster(environment, cluster) => {
                write!(formatter, "/environment={environment}/cloud-cluster={cluster}")
            }
            Scope::KafkaResource(environment, cluster, resource) => {
                let star = if resource.pattern_type == PatternType::Prefixed { "*" } else { "" };
                let (kind, name) = (resource.resource_type.as_str(), encode(&resource.name));
                write!(
                    formatter,
                    "/environment={environment}/cloud-cluster={cluster}/kafka={cluster}/{kind}={name}{star}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORGANIZATION: &str = "crn://confluent.cloud/organization=1111aaaa-11aa-11aa-11aa-111111aaaaaa";

    fn parse(rest: &str) -> Result<CrnPattern, ParseCrnError> {
        format!("{ORGANIZATION}{rest}").parse()
    }

    #[test]
    fn every_form_parses_and_prints_as_it_was() {
        for rest in [
            "",
            "/service-account=sa-1",
            "/environment=env-1",
            "/environment=env-1/cloud-cluster=lkc-1",
            "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1/topic=orders",
            "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1/topic=orders*",
            "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1/group=*",
            "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1/transactional-id=a%2Fb",
        ] {
            let parsed = parse(rest).expect(rest);
            assert_eq!(parsed.to_string(), format!("{ORGANIZATION}{rest}"));
        }
    }

    #[test]
    fn the_kafka_element_may_be_left_out_or_said() {
        let short = parse("/environment=env-1/cloud-cluster=lkc-1");
        assert_eq!(short, parse("/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1"));
    }

    #[test]
    fn a_colon_and_its_escape_are_the_same_name() {
        let base = "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1/group=";
        assert_eq!(parse(&format!("{base}a:b")), parse(&format!("{base}a%3Ab")));
    }

    #[test]
    fn names_match_literally_or_by_prefix() {
        let pattern = |text| parse_name(ResourceType::Topic, text).expect("a name");
        assert!(pattern("orders").matches("orders"));
        assert!(!pattern("orders").matches("orders-2"));
        assert!(pattern("orders*").matches("orders-2"));
        assert!(pattern("*").matches("anything"));
    }

    #[test]
    fn what_is_not_a_crn_is_refused() {
        for wrong in
            ["", "crn://other.cloud/organization=1", "crn://confluent.cloud/", "crn://confluent.cloud/organization=x"]
        {
            assert!(wrong.parse::<CrnPattern>().is_err(), "{wrong:?}");
        }
        for wrong in [
            "/",
            "/environment=lkc-1",
            "/environment=env-1/",
            "/environment=env-1/kafka=lkc-1",
            "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-2",
            "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1/topic=",
            "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1/topic=a*b",
            "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1/topic=%zz",
            "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1/topic=%+1",
            "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1/topic=a/b",
            "/environment=env-1/cloud-cluster=lkc-1/kafka=lkc-1/schema=a",
            "/service-account=sa-1/environment=env-1",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(parse(&"x".repeat(MAX_CRN_BYTES)), Err(ParseCrnError::TooLong));
    }
}
