//! The one cluster that a request may touch.
//!
//! Promises: a handler that takes a [`Scope`] runs only if the cluster in the path is the caller's own and exists.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use millstream_api::ids::LogicalClusterId;
use millstream_api::role::{KafkaResource, Operation};

use super::links::Links;
use crate::api::denied;
use crate::authorizer::Who;
use crate::authorizer::grants::Grants;
use crate::broker::Broker;
use crate::http::caller::{BaseUrl, Caller};
use crate::http::error::RestError;
use crate::quotas::connection::ConnectionQuota;

/// The caller's cluster, and how to link to what is in it.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) tenant: LogicalClusterId,
    pub(super) links: Links,
    /// What the request is charged to.
    pub(super) quota: Arc<ConnectionQuota>,
    grants: Arc<Grants>,
}

impl Scope {
    /// Whether the caller may do this to a topic, group or transactional id.
    pub(super) fn allows(&self, operation: Operation, resource: KafkaResource, name: &str) -> bool {
        self.grants.allows(operation, resource, name)
    }

    /// Whether the caller may do this to the logical cluster.
    pub(super) fn allows_on_cluster(&self, operation: Operation) -> bool {
        self.grants.allows_on_cluster(operation)
    }

    /// Whether the caller may see ACLs.
    pub(super) fn may_describe_acls(&self) -> bool {
        self.grants.may_describe_acls()
    }

    /// Whether the caller may make and delete ACLs.
    pub(super) fn may_alter_acls(&self) -> bool {
        self.grants.may_alter_acls()
    }

    /// Refuses what the caller may not do to a topic, group or transactional id.
    pub(super) fn check(&self, operation: Operation, resource: KafkaResource, name: &str) -> Result<(), RestError> {
        let allowed = self.allows(operation, resource, name);
        if allowed { Ok(()) } else { Err(RestError::not_authorized(denied(resource).message())) }
    }
}

/// Lets the request through with its [`Scope`], or answers as if the cluster did not exist.
pub(super) async fn enter(State(broker): State<Arc<Broker>>, mut request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>() else {
        return RestError::authentication_failed().into_response();
    };
    let Caller { tenant, principal, host } = caller.clone();
    broker.metrics.tenant(&tenant).count_http_request();
    let uri = request.extensions().get::<OriginalUri>().map_or_else(|| request.uri(), |original| &original.0);
    let named = cluster_in(uri.path());
    if let Some(named) = named.filter(|named| *named != tenant.as_str()) {
        return RestError::unknown_cluster(named).into_response();
    }
    if broker.tenants.cluster(&tenant).is_none() {
        return RestError::unknown_cluster(tenant.as_str()).into_response();
    }
    let base_url = request.extensions().get::<BaseUrl>().map_or("", |base_url| base_url.0.as_str());
    let links = Links::new(base_url, &tenant);
    let quota = Arc::new(broker.quotas.connection(&tenant, &principal));
    let grants = broker.authorizer.grants(&Who { tenant: tenant.clone(), principal, host });
    request.extensions_mut().insert(Scope { tenant, links, quota, grants });
    next.run(request).await
}

/// The id behind `/kafka/v3/clusters/`, if there is one.
fn cluster_in(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/kafka/v3/clusters/")?;
    rest.split('/').next().filter(|id| !id.is_empty())
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, RestError> {
        let scope = parts.extensions.get::<Self>().cloned();
        scope.ok_or_else(|| RestError::plain(StatusCode::INTERNAL_SERVER_ERROR, "HTTP 500 Internal Server Error"))
    }
}
