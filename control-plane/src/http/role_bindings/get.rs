//! `GET /iam/v2/role-bindings/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::RoleBindingId;
use millstream_api::rest::iam::RoleBinding;
use millstream_api::rest::propagation::WaitFor;

use super::{authorize, render};
use crate::app::App;
use crate::domain::authorization::Action;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::http::propagation::WaitForReady;
use crate::store::role_bindings;

/// Reads a role binding.
#[utoipa::path(get, path = "/iam/v2/role-bindings/{id}", operation_id = "getIamV2RoleBinding", tag = "Role bindings",
    params(("id" = String, Path, description = "`rb-…`"),
        ("wait" = inline(Option<WaitFor>), Query,
        description = "`ready`: answer when every live broker knows it, after half a minute at the latest")),
    responses((status = 200, body = RoleBinding)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<RoleBindingId>,
    wait: WaitForReady,
) -> Result<Json<RoleBinding>, ApiError> {
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let row = role_bindings::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    authorize(&caller, Action::ViewRoleBinding, &row)?;
    let announced = role_bindings::announced(&mut transaction, &row).await?;
    drop(transaction);
    let mut answer = render(&app, &row);
    answer.status = Some(wait.status(&app, &announced).await);
    Ok(Json(answer))
}
