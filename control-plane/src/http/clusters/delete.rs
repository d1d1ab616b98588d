//! `DELETE /cmk/v2/clusters/{id}?environment=`. Its keys go with it, and brokers give up its topics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use millstream_api::ids::{EnvironmentId, LogicalClusterId};

use crate::app::{Announced, App};
use crate::fleet::wait;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::path::PathId;
use crate::store::{api_keys, config_log, logical_clusters, shard};

/// Deletes a Kafka cluster, its topics and its keys.
#[utoipa::path(delete, path = "/cmk/v2/clusters/{id}", operation_id = "deleteCmkV2Cluster", tag = "Clusters",
    params(
        ("id" = String, Path, description = "`lkc-…`"),
        ("environment" = String, Query, description = "The environment that the cluster is in"),
    ),
    responses((status = 204, description = "Deleted")))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<LogicalClusterId>,
    parameters: Parameters,
) -> Result<StatusCode, ApiError> {
    let environment: EnvironmentId = parameters.required_id("environment")?;
    let mut transaction = app.database.write().await?;
    let row = logical_clusters::get_and_lock(&mut transaction, &caller.scope, &id).await?;
    let row = row.filter(|row| row.environment_id == environment).ok_or_else(ApiError::not_found)?;
    let keys = api_keys::delete_of_cluster(&mut transaction, &caller.scope, &id).await?;
    logical_clusters::delete(&mut transaction, &caller.scope, &id).await?;
    let mut announced = Announced::new();
    if let Some(physical_cluster) = row.physical_cluster_id {
        // Keys first, so that no broker sees a key without its cluster.
        let mut changes: Vec<_> = keys.iter().map(shard::delete_api_key).collect();
        changes.push(shard::delete_logical_cluster(&id));
        let revision = config_log::append(&mut transaction, &physical_cluster, changes, app.clock.now()).await?;
        announced.push((physical_cluster, revision));
    }
    transaction.commit().await?;
    wait::announce(&app, &announced).await;
    Ok(StatusCode::NO_CONTENT)
}
