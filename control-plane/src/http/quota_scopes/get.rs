//! `GET /service-quota/v1/scopes/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::rest::service_quota::Scope;

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::quota::QuotaScope;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;

/// Reads what quotas can belong to.
#[utoipa::path(get, path = "/service-quota/v1/scopes/{id}", operation_id = "getServiceQuotaV1Scope", tag = "Quotas",
    params(("id" = String, Path, description = "The scope's name, such as `ORGANIZATION`")),
    responses((status = 200, body = Scope)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<String>,
) -> Result<Json<Scope>, ApiError> {
    caller.authorize(Action::ViewOrganization, Target::Organization)?;
    let scope = QuotaScope::ALL.into_iter().find(|scope| scope.as_str() == id).ok_or_else(ApiError::not_found)?;
    Ok(Json(render(&app, caller.scope.organization_id(), scope)))
}
