//! An ACL as JSON, and ACLs and filters as callers write them.
//!
//! Enumerations are Kafka's names, in any case. A principal may be written `UserV2:…`, which at Confluent asks for
//! the form of ids that is the only one here.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use millstream_api::kafka_rest::acl::{Acl, NewAcl};
use millstream_api::kafka_rest::envelope::Metadata;
use millstream_metadata::acl::{
    ANY_CODE, Acl as MetadataAcl, AclFilter, Code, MATCH_CODE, OPERATIONS, PATTERN_TYPES, PERMISSIONS, RESOURCE_TYPES,
    UncheckedAcl, UncheckedFilter,
};
use serde::Deserialize;

use super::scope::Scope;
use crate::acls::{ChangeError, NOT_AUTHORIZED};
use crate::http::error::RestError;

const ANY: &str = "ANY";
/// Names that Kafka has and no tenant's ACL: legal in a filter, which then means nothing.
const OTHER_RESOURCE_TYPES: &[(&str, i8)] = &[(ANY, ANY_CODE), ("DELEGATION_TOKEN", 6), ("USER", 7)];
const OTHER_PATTERN_TYPES: &[(&str, i8)] = &[(ANY, ANY_CODE), ("MATCH", MATCH_CODE)];
const OTHER_OPERATIONS: &[(&str, i8)] =
    &[(ANY, ANY_CODE), ("CREATE_TOKENS", 13), ("DESCRIBE_TOKENS", 14), ("TWO_PHASE_COMMIT", 15)];
const OTHER_PERMISSIONS: &[(&str, i8)] = &[(ANY, ANY_CODE)];

/// The ACL as it is answered.
pub(super) fn of(scope: &Scope, acl: &MetadataAcl) -> Acl {
    Acl {
        kind: "KafkaAcl",
        metadata: Metadata { self_link: link(scope, acl), resource_name: None },
        cluster_id: scope.tenant.to_string(),
        resource_type: acl.resource_type_name(),
        resource_name: acl.resource.name.clone(),
        pattern_type: acl.pattern_type_name(),
        principal: acl.entry.principal.to_string(),
        host: acl.entry.host.to_string(),
        operation: acl.operation_name(),
        permission: acl.permission_name(),
    }
}

/// Refuses a caller that may not see ACLs.
pub(super) fn check_may_list(scope: &Scope) -> Result<(), RestError> {
    if scope.may_describe_acls() { Ok(()) } else { Err(RestError::not_authorized(NOT_AUTHORIZED)) }
}

/// Refuses a caller that may not change ACLs.
pub(super) fn check_may_change(scope: &Scope) -> Result<(), RestError> {
    if scope.may_alter_acls() { Ok(()) } else { Err(RestError::not_authorized(NOT_AUTHORIZED)) }
}

/// The URL of exactly this ACL: the collection with all filters.
pub(super) fn link(scope: &Scope, acl: &MetadataAcl) -> String {
    let fields = [
        ("resource_type", acl.resource_type_name()),
        ("resource_name", &acl.resource.name),
        ("pattern_type", acl.pattern_type_name()),
        ("principal", &acl.entry.principal.to_string()),
        ("host", &acl.entry.host.to_string()),
        ("operation", acl.operation_name()),
        ("permission", acl.permission_name()),
    ];
    scope.links.url_with_query(&["acls"], &fields)
}

/// The ACL that a caller asks for, if it is one that a cluster can have.
pub(super) fn check(asked: &NewAcl) -> Result<MetadataAcl, RestError> {
    let unchecked = UncheckedAcl {
        resource_type: number(RESOURCE_TYPES, OTHER_RESOURCE_TYPES, "resource_type", &asked.resource_type)?,
        resource_name: &asked.resource_name,
        pattern_type: number(PATTERN_TYPES, OTHER_PATTERN_TYPES, "pattern_type", &asked.pattern_type)?,
        principal: &principal(&asked.principal),
        host: &asked.host,
        operation: number(OPERATIONS, OTHER_OPERATIONS, "operation", &asked.operation)?,
        permission: number(PERMISSIONS, OTHER_PERMISSIONS, "permission", &asked.permission)?,
    };
    unchecked.check().map_err(|error| RestError::invalid(error.to_string()))
}

/// Filters as query parameters.
#[derive(Debug, Deserialize)]
pub(super) struct FilterQuery {
    resource_type: Option<String>,
    resource_name: Option<String>,
    pattern_type: Option<String>,
    principal: Option<String>,
    host: Option<String>,
    operation: Option<String>,
    permission: Option<String>,
}

impl FilterQuery {
    /// The filter; what is not named does not matter.
    pub(super) fn check(&self) -> Result<AclFilter, RestError> {
        let principal = self.principal.as_deref().filter(|principal| *principal != "UserV2:*").map(principal);
        let unchecked = UncheckedFilter {
            resource_type: wanted(RESOURCE_TYPES, OTHER_RESOURCE_TYPES, "resource_type", &self.resource_type)?,
            resource_name: self.resource_name.as_deref(),
            pattern_type: wanted(PATTERN_TYPES, OTHER_PATTERN_TYPES, "pattern_type", &self.pattern_type)?,
            principal: principal.as_deref(),
            host: self.host.as_deref(),
            operation: wanted(OPERATIONS, OTHER_OPERATIONS, "operation", &self.operation)?,
            permission: wanted(PERMISSIONS, OTHER_PERMISSIONS, "permission", &self.permission)?,
        };
        unchecked.check().map_err(|error| RestError::invalid(error.to_string()))
    }

    /// Refuses a filter that leaves out what a deletion must name: nobody deletes everything by forgetting something.
    pub(super) fn require_all(&self) -> Result<(), RestError> {
        let required = [
            ("resource_type", &self.resource_type),
            ("pattern_type", &self.pattern_type),
            ("operation", &self.operation),
            ("permission", &self.permission),
        ];
        match required.into_iter().find(|(_, value)| value.is_none()) {
            Some((name, _)) => Err(RestError::invalid(format!("{name}: the query parameter is required"))),
            None => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for FilterQuery {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, RestError> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|Query(filter)| filter).map_err(|error| RestError::malformed(error.body_text()))
    }
}

impl From<ChangeError> for RestError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refused) => Self::invalid(refused.to_string()),
            unavailable => Self::retriable(unavailable.to_string()),
        }
    }
}

fn principal(text: &str) -> String {
    text.strip_prefix("UserV2:").map_or_else(|| text.to_owned(), |id| format!("User:{id}"))
}

fn wanted<T>(
    codes: &[Code<T>],
    others: &[(&str, i8)],
    field: &'static str,
    name: &Option<String>,
) -> Result<i8, RestError> {
    name.as_ref().map_or(Ok(ANY_CODE), |name| number(codes, others, field, name))
}

fn number<T>(codes: &[Code<T>], others: &[(&str, i8)], field: &str, name: &str) -> Result<i8, RestError> {
    let known = codes.iter().map(|code| (code.name, code.code)).chain(others.iter().copied());
    let mut names = Vec::new();
    for (known_name, number) in known {
        if known_name.eq_ignore_ascii_case(name) {
            return Ok(number);
        }
        names.push(known_name);
    }
    Err(RestError::invalid(format!("{field}: must be one of {}", names.join(", "))))
}
