//! `GET /org/v2/environments/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::EnvironmentId;
use millstream_api::rest::org::Environment;

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::environments;

/// Reads an environment.
#[utoipa::path(get, path = "/org/v2/environments/{id}", operation_id = "getOrgV2Environment", tag = "Environments",
    params(("id" = String, Path, description = "`env-…`")), responses((status = 200, body = Environment)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<EnvironmentId>,
) -> Result<Json<Environment>, ApiError> {
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let row = environments::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::ViewEnvironment, Target::Environment(&id))?;
    Ok(Json(render(&app, caller.scope.organization_id(), &row)))
}
