//! `DELETE /iam/v2/api-keys/{id}`. Answered once every live broker refuses the key.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use millstream_api::ids::ApiKeyId;

use super::{authorize, render};
use crate::app::{Announced, App};
use crate::domain::authorization::Action;
use crate::fleet::wait;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::{api_keys, config_log, quotas, shard};

/// Deletes an API key. Connections that use it are closed.
#[utoipa::path(delete, path = "/iam/v2/api-keys/{id}", operation_id = "deleteIamV2ApiKey", tag = "API keys",
    params(("id" = String, Path, description = "16 upper-case letters or digits")),
    responses((status = 204, description = "Deleted")))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
    condition: Condition,
) -> Result<StatusCode, ApiError> {
    let mut transaction = app.database.write_for(&caller.scope).await?;
    let row = api_keys::get_and_lock(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    authorize(&caller, Action::ManageApiKey, &row)?;
    condition.check(&render(&app, caller.scope.organization_id(), &row, None))?;
    let deleted = api_keys::delete(&mut transaction, &caller.scope, &id).await?;
    if !deleted {
        return Err(ApiError::not_found());
    }
    quotas::give_back(&mut transaction, &caller.scope, row.shares()).await?;
    let mut announced = Announced::new();
    if let Some(physical_cluster) = row.physical_cluster_id {
        let changes = vec![shard::delete_api_key(&id)];
        let revision = config_log::append(&mut transaction, &physical_cluster, changes, app.clock.now()).await?;
        announced.push((physical_cluster, revision));
    }
    transaction.commit().await?;
    wait::announce(&app, &announced).await;
    Ok(StatusCode::NO_CONTENT)
}
