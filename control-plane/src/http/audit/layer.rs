//! Records every call of an operation, permitted or not: who, what, when, from where, and what came of it.
//!
//! Promises: the answer to a request that may change something leaves when its event is durable. Never records a body,
//! a query or a secret. Requests without valid credentials that were refused for their number are not recorded, so
//! that nobody fills the log from outside.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{LOCATION, USER_AGENT};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::domain::crn;
use crate::http::call::Call;
use crate::http::detach::is_safe;
use crate::http::error::ApiError;
use crate::http::kafka::ErrorCode;
use crate::store::audit_events::AuditEvent;

/// Characters of a text that the client chose at most.
const MAX_CHARS: usize = 256;
/// Operations that are about no organization and are asked all the time.
const NOT_RECORDED: &[&str] = &["getHealth"];

/// What the layer keeps of a request while it is answered.
struct Seen {
    operation_id: String,
    method: Method,
    path: String,
    user_agent: String,
    arrived_at: i64,
}

/// Records one request.
pub async fn layer(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    let call = request.extensions().get::<Arc<Call>>().cloned();
    let (Some(call), Some(seen)) = (call, see(&app, &request)) else { return next.run(request).await };
    let response = next.run(request).await;
    let is_flood = response.status() == StatusCode::TOO_MANY_REQUESTS && call.authenticated().is_none();
    if is_flood {
        return response;
    }
    let may_change_something = !is_safe(&seen.method);
    let event = describe(&call, seen, &response);
    match may_change_something {
        true => app.audit_log.record_durably(event).await,
        false => app.audit_log.record(event).await,
    }
    response
}

/// None if the request is not recorded: it belongs to no operation, or to one that says nothing about anybody.
fn see(app: &App, request: &Request<Body>) -> Option<Seen> {
    let matched = request.extensions().get::<MatchedPath>()?;
    let path = request.uri().path();
    let operation_id = app.operations.id_of(request.method(), matched.as_str(), path)?;
    if NOT_RECORDED.contains(&operation_id) {
        return None;
    }
    let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    Some(Seen {
        operation_id: operation_id.to_owned(),
        method: request.method().clone(),
        path: shorten(path),
        user_agent: shorten(user_agent),
        arrived_at: app.clock.now().0,
    })
}

fn describe(call: &Call, seen: Seen, response: &Response) -> AuditEvent {
    let authenticated = call.authenticated();
    // What a POST made is named by the answer.
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(path_of_url);
    let object = Object::of_path(location.unwrap_or(&seen.path));
    let organization = authenticated.map(|caller| caller.scope.organization_id());
    let resource_name = match (organization, &object) {
        (Some(organization), Some(object)) => {
            format!("{}/{}={}", crn::organization(organization), object.segment, object.id)
        }
        (Some(organization), None) => crn::organization(organization),
        (None, _) => String::new(),
    };
    AuditEvent {
        id: call.request_id.clone(),
        organization_id: organization.map(|organization| organization.to_string()),
        created_at: seen.arrived_at,
        principal: authenticated.map(|caller| caller.grants.principal.to_string()).unwrap_or_default(),
        credential_id: authenticated.map(|caller| caller.credential_id.clone()).unwrap_or_default(),
        address: call.address.to_string(),
        user_agent: seen.user_agent,
        operation_id: seen.operation_id,
        method: seen.method.to_string(),
        resource_id: object.map(|object| object.id.to_owned()).unwrap_or_default(),
        resource_name,
        path: seen.path,
        status: i64::from(response.status().as_u16()),
        error_code: error_code(response),
    }
}

fn error_code(response: &Response) -> String {
    let own = response.extensions().get::<ApiError>().map(|error| error.code().to_owned());
    let of_kafka = || response.extensions().get::<ErrorCode>().map(|code| code.0.to_string());
    own.or_else(of_kafka).unwrap_or_default()
}

/// The object that a path names.
#[derive(Debug, PartialEq, Eq)]
struct Object<'a> {
    segment: &'static str,
    id: &'a str,
}

impl<'a> Object<'a> {
    fn of_path(path: &'a str) -> Option<Self> {
        let segment_of_collection = [
            ("/org/v2/organizations/", "organization"),
            ("/org/v2/environments/", "environment"),
            ("/iam/v2/service-accounts/", "service-account"),
            ("/iam/v2/users/", "user"),
            ("/iam/v2/api-keys/", "api-key"),
            ("/iam/v2/role-bindings/", "role-binding"),
            ("/cmk/v2/clusters/", "cloud-cluster"),
            ("/kafka-quotas/v1/client-quotas/", "client-quota"),
            ("/kafka/v3/clusters/", "kafka"),
        ];
        let (collection, segment) =
            segment_of_collection.into_iter().find(|(collection, _)| path.starts_with(collection))?;
        let id = path.strip_prefix(collection)?.split(['/', '?']).next()?;
        (!id.is_empty()).then_some(Self { segment, id })
    }
}

fn path_of_url(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |begin| rest.get(begin..).unwrap_or(""))
}

fn shorten(text: &str) -> String {
    // PostgreSQL takes no zero character.
    text.chars().filter(|character| *character != '\0').take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_found_in_the_path() {
        let found = |path| Object::of_path(path).map(|object| (object.segment, object.id));
        assert_eq!(found("/org/v2/environments/env-a"), Some(("environment", "env-a")));
        assert_eq!(found("/kafka/v3/clusters/lkc-a/topics/t"), Some(("kafka", "lkc-a")));
        assert_eq!(found("/org/v2/environments"), None);
        assert_eq!(found("/org/v2/environments/"), None);
        assert_eq!(path_of_url("https://host:1/org/v2/environments/env-a"), "/org/v2/environments/env-a");
        assert_eq!(path_of_url("https://host"), "");
    }
}
