//! `POST /kafka/v3/clusters/{cluster}/acls:batch`: 201 without a body; all or none.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use millstream_metadata::decide::MAX_ACLS_PER_REQUEST;
use serde::Deserialize;

use super::acl::{self, NewAcl};
use super::scope::Scope;
use crate::acls;
use crate::broker::Broker;
use crate::http::error::RestError;
use crate::http::json::JsonBody;

#[derive(Deserialize)]
pub(super) struct CreateAcls {
    data: Vec<NewAcl>,
}

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    JsonBody(request): JsonBody<CreateAcls>,
) -> Result<StatusCode, RestError> {
    acl::check_may_change(&scope)?;
    if request.data.len() > MAX_ACLS_PER_REQUEST {
        return Err(RestError::invalid(format!("data: must not have more than {MAX_ACLS_PER_REQUEST} ACLs")));
    }
    let mut acls = Vec::with_capacity(request.data.len());
    for (index, acl) in request.data.iter().enumerate() {
        acls.push(
            acl.check().map_err(|error| RestError { message: format!("data[{index}].{}", error.message), ..error })?,
        );
    }
    acls::create_all(&broker, &scope.tenant, acls).await?;
    Ok(StatusCode::CREATED)
}
