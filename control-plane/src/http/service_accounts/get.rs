//! `GET /iam/v2/service-accounts/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::ServiceAccountId;
use millstream_api::rest::iam::ServiceAccount;

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::service_accounts;

/// Reads a service account.
#[utoipa::path(get, path = "/iam/v2/service-accounts/{id}", operation_id = "getIamV2ServiceAccount",
    tag = "Service accounts", params(("id" = String, Path, description = "`sa-…`")),
    responses((status = 200, body = ServiceAccount)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ServiceAccountId>,
) -> Result<Json<ServiceAccount>, ApiError> {
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let row = service_accounts::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::ViewServiceAccount, Target::ServiceAccount(&id))?;
    Ok(Json(render(&app, caller.scope.organization_id(), &row)))
}
