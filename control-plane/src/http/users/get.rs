//! `GET /iam/v2/users/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::UserId;
use millstream_api::rest::iam::User;

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::users;

/// Reads a user.
#[utoipa::path(get, path = "/iam/v2/users/{id}", operation_id = "getIamV2User", tag = "Users",
    params(("id" = String, Path, description = "`u-…`")), responses((status = 200, body = User)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<UserId>,
) -> Result<Json<User>, ApiError> {
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let row = users::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::ViewUser, Target::User(&id))?;
    Ok(Json(render(&app, caller.scope.organization_id(), &row)))
}
