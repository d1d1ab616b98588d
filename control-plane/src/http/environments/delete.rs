//! `DELETE /org/v2/environments/{id}`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use millstream_api::ids::EnvironmentId;

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::{environments, logical_clusters};

/// Deletes an environment that has no clusters.
#[utoipa::path(delete, path = "/org/v2/environments/{id}", operation_id = "deleteOrgV2Environment",
    tag = "Environments", params(("id" = String, Path, description = "`env-…`")),
    responses((status = 204, description = "Deleted")))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<EnvironmentId>,
) -> Result<StatusCode, ApiError> {
    let mut transaction = app.database.write().await?;
    environments::get_and_lock(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    let clusters = logical_clusters::count_in_environment(&mut transaction, &caller.scope, &id).await?;
    if clusters > 0 {
        return Err(ApiError::conflict(format!("the environment has {clusters} clusters: delete them first")));
    }
    environments::delete(&mut transaction, &caller.scope, &id).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
