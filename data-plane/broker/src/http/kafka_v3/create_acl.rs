//! `POST /kafka/v3/clusters/{cluster}/acls`: 201 without a body, also if the ACL exists already.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse};
use http::{StatusCode, header};
use millstream_api::kafka_rest::acl::NewAcl;

use super::acl;
use super::scope::Scope;
use crate::acls;
use crate::broker::Broker;
use crate::http::error::RestError;
use crate::http::json::JsonBody;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    JsonBody(request): JsonBody<NewAcl>,
) -> Result<impl IntoResponse, RestError> {
    acl::check_may_change(&scope)?;
    let acl = acl::check(&request)?;
    let location = acl::link(&scope, &acl);
    acls::create_all(&broker, &scope.tenant, vec![acl]).await?;
    Ok((StatusCode::CREATED, AppendHeaders([(header::LOCATION, location)])))
}
