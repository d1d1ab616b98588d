//! `PATCH /org/v2/environments/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::EnvironmentId;
use millstream_api::rest::org::{Environment, UpdateEnvironment};

use super::{check_name, name_is_taken, render};
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::environments;

/// Changes an environment.
#[utoipa::path(patch, path = "/org/v2/environments/{id}", operation_id = "updateOrgV2Environment",
    tag = "Environments", params(("id" = String, Path, description = "`env-…`")),
    request_body = UpdateEnvironment, responses((status = 200, body = Environment)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<EnvironmentId>,
    condition: Condition,
    body: JsonBody<UpdateEnvironment>,
) -> Result<Json<Environment>, ApiError> {
    let mut transaction = app.database.write_for(&caller.scope).await?;
    let mut row =
        environments::get_and_lock(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::ChangeEnvironment, Target::Environment(&id))?;
    condition.check(&render(&app, caller.scope.organization_id(), &row))?;
    if let Some(display_name) = body.value.display_name {
        check_name(&display_name)?;
        let now = app.clock.now();
        environments::rename(&mut transaction, &caller.scope, &id, &display_name, now).await.map_err(name_is_taken)?;
        transaction.commit().await?;
        row.display_name = display_name;
        row.updated_at = now.0;
    }
    Ok(Json(render(&app, caller.scope.organization_id(), &row)))
}
