//! `DELETE /iam/v2/role-bindings/{id}`. Answered once every live broker refuses what the role allowed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::RoleBindingId;
use millstream_api::rest::iam::RoleBinding;

use super::{authorize, keep_an_administrator, render};
use crate::app::App;
use crate::domain::authorization::Action;
use crate::fleet::wait;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::config_log::{self, Changes};
use crate::store::{organizations, quotas, role_bindings, shard};

/// Takes a role away, and answers with what it was.
#[utoipa::path(delete, path = "/iam/v2/role-bindings/{id}", operation_id = "deleteIamV2RoleBinding",
    tag = "Role bindings", params(("id" = String, Path, description = "`rb-…`")),
    responses((status = 200, body = RoleBinding)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<RoleBindingId>,
    condition: Condition,
) -> Result<Json<RoleBinding>, ApiError> {
    let organization = caller.scope.organization_id();
    let mut transaction = app.database.write_for(&caller.scope).await?;
    organizations::lock(&mut transaction, organization).await?;
    let row = role_bindings::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    authorize(&caller, Action::ManageRoleBinding, &row)?;
    condition.check(&render(&app, &row))?;
    let freed = role_bindings::delete(&mut transaction, &caller.scope, &id).await?;
    keep_an_administrator(&mut transaction, &caller.scope).await?;
    quotas::give_back(&mut transaction, &caller.scope, freed).await?;
    let mut changes = Changes::new();
    for host in role_bindings::hosts(&mut transaction, organization).await? {
        changes.insert(host, vec![shard::delete_role_binding(&id)]);
    }
    let announced = config_log::append_all(&mut transaction, changes, app.clock.now()).await?;
    transaction.commit().await?;
    wait::announce(&app, &announced).await;
    Ok(Json(render(&app, &row)))
}
