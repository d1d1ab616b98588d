//! `PATCH /iam/v2/users/{id}`: name and password.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::UserId;
use millstream_api::rest::iam::{UpdateUser, User};

use super::{check_full_name, hash_password, render};
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::{sessions, users};

/// Changes the name or the password of a user.
#[utoipa::path(patch, path = "/iam/v2/users/{id}", operation_id = "updateIamV2User", tag = "Users",
    params(("id" = String, Path, description = "`u-…`")), request_body = UpdateUser,
    responses((status = 200, body = User)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    condition: Condition,
    PathId(id): PathId<UserId>,
    body: JsonBody<UpdateUser>,
) -> Result<Json<User>, ApiError> {
    let mut transaction = app.database.read_for(&caller.scope).await?;
    users::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    drop(transaction);
    let action = if body.value.password.is_some() { Action::SetPassword } else { Action::ChangeUser };
    caller.authorize(action, Target::User(&id))?;
    // Outside of the transaction: it takes a while.
    let password_hash = match &body.value.password {
        Some(password) => Some(hash_password(&app, password.expose()).await?),
        None => None,
    };
    let mut transaction = app.database.write_for(&caller.scope).await?;
    let row = users::get_and_lock(&mut transaction, &caller.scope, &id).await?;
    let mut row = row.ok_or_else(ApiError::not_found)?;
    condition.check(&render(&app, caller.scope.organization_id(), &row))?;
    row.full_name = body.value.full_name.unwrap_or(row.full_name);
    check_full_name(&row.full_name)?;
    if let Some(password_hash) = password_hash {
        row.password_hash = password_hash;
        sessions::end_all(&mut transaction, &caller.scope, &id).await?;
    }
    row.updated_at = app.clock.now().0;
    users::update(&mut transaction, &caller.scope, &row).await?;
    transaction.commit().await?;
    Ok(Json(render(&app, caller.scope.organization_id(), &row)))
}
