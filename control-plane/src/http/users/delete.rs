//! `DELETE /iam/v2/users/{id}`. Its keys and roles go with it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use millstream_api::ids::{Principal, UserId};

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::quota::{self, Share};
use crate::fleet::wait;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::http::role_bindings::keep_an_administrator;
use crate::store::config_log::{self, Changes};
use crate::store::role_bindings::{self, Gone};
use crate::store::{api_keys, organizations, quotas, sessions, shard, users};

/// Deletes a user, its keys and its roles.
#[utoipa::path(delete, path = "/iam/v2/users/{id}", operation_id = "deleteIamV2User",
    tag = "Users", params(("id" = String, Path, description = "`u-…`")),
    responses((status = 204, description = "Deleted")))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    condition: Condition,
    PathId(id): PathId<UserId>,
) -> Result<StatusCode, ApiError> {
    let mut transaction = app.database.write_for(&caller.scope).await?;
    organizations::lock(&mut transaction, caller.scope.organization_id()).await?;
    let user = users::get_and_lock(&mut transaction, &caller.scope, &id).await?;
    let user = user.ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::DeleteUser, Target::User(&id))?;
    condition.check(&render(&app, caller.scope.organization_id(), &user))?;
    let owner = Principal::User(id.clone());
    let keys = api_keys::delete_of_owner(&mut transaction, &caller.scope, &owner).await?;
    let bindings = role_bindings::delete_with(&mut transaction, &caller.scope, Gone::User(&id)).await?;
    keep_an_administrator(&mut transaction, &caller.scope).await?;
    sessions::end_all(&mut transaction, &caller.scope, &id).await?;
    users::delete(&mut transaction, &caller.scope, &id).await?;
    let freed = keys.shares.into_iter().chain(bindings.shares);
    let freed = freed.chain([Share::of_organization(&quota::USERS)]);
    quotas::give_back(&mut transaction, &caller.scope, freed).await?;
    quotas::forget(&mut transaction, &caller.scope, id.as_str()).await?;
    let mut changes = Changes::new();
    for (physical_cluster, key) in &keys.announced {
        changes.entry(physical_cluster.clone()).or_default().push(shard::delete_api_key(key));
    }
    for host in role_bindings::hosts(&mut transaction, caller.scope.organization_id()).await? {
        let changes = changes.entry(host).or_default();
        changes.extend(bindings.ids.iter().map(shard::delete_role_binding));
        changes.push(shard::delete_principal(&owner));
    }
    let announced = config_log::append_all(&mut transaction, changes, app.clock.now()).await?;
    transaction.commit().await?;
    wait::announce(&app, &announced).await;
    Ok(StatusCode::NO_CONTENT)
}
