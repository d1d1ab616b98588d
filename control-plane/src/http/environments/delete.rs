//! `DELETE /org/v2/environments/{id}`. The roles on it go with it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use millstream_api::ids::EnvironmentId;

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::quota::{self, Share};
use crate::fleet::wait;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::config_log::{self, Changes};
use crate::store::role_bindings::{self, Gone};
use crate::store::{environments, logical_clusters, organizations, quotas, shard};

/// Deletes an environment that has no clusters.
#[utoipa::path(delete, path = "/org/v2/environments/{id}", operation_id = "deleteOrgV2Environment",
    tag = "Environments", params(("id" = String, Path, description = "`env-…`")),
    responses((status = 204, description = "Deleted")))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<EnvironmentId>,
    condition: Condition,
) -> Result<StatusCode, ApiError> {
    let mut transaction = app.database.write_for(&caller.scope).await?;
    organizations::lock(&mut transaction, caller.scope.organization_id()).await?;
    let row =
        environments::get_and_lock(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::DeleteEnvironment, Target::Environment(&id))?;
    condition.check(&render(&app, caller.scope.organization_id(), &row))?;
    let clusters = logical_clusters::count_in_environment(&mut transaction, &caller.scope, &id).await?;
    if clusters > 0 {
        return Err(ApiError::conflict(format!("the environment has {clusters} clusters: delete them first")));
    }
    let bindings = role_bindings::delete_with(&mut transaction, &caller.scope, Gone::Environment(&id)).await?;
    environments::delete(&mut transaction, &caller.scope, &id).await?;
    let freed = bindings.shares.into_iter().chain([Share::of_organization(&quota::ENVIRONMENTS)]);
    quotas::give_back(&mut transaction, &caller.scope, freed).await?;
    quotas::forget(&mut transaction, &caller.scope, id.as_str()).await?;
    let mut changes = Changes::new();
    if !bindings.ids.is_empty() {
        for host in role_bindings::hosts(&mut transaction, caller.scope.organization_id()).await? {
            changes.insert(host, bindings.ids.iter().map(shard::delete_role_binding).collect());
        }
    }
    let announced = config_log::append_all(&mut transaction, changes, app.clock.now()).await?;
    transaction.commit().await?;
    wait::announce(&app, &announced).await;
    Ok(StatusCode::NO_CONTENT)
}
