//! `POST /kafka/v3/clusters/{cluster}/acls:batch`: 201 without a body; all or none.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use millstream_api::kafka_rest::acl::CreateAcls;
use millstream_metadata::decide::MAX_ACLS_PER_REQUEST;

use super::acl;
use super::scope::Scope;
use crate::acls;
use crate::broker::Broker;
use crate::http::error::RestError;
use crate::http::json::JsonBody;

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
    for (index, asked) in request.data.iter().enumerate() {
        let checked = acl::check(asked);
        let at_index = |error: RestError| RestError { message: format!("data[{index}].{}", error.message), ..error };
        acls.push(checked.map_err(at_index)?);
    }
    acls::create_all(&broker, &scope.tenant, acls).await?;
    Ok(StatusCode::CREATED)
}
