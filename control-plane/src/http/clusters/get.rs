//! `GET /cmk/v2/clusters/{id}?environment=`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::{EnvironmentId, LogicalClusterId};
use millstream_api::rest::cmk::Cluster;

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::path::PathId;
use crate::store::logical_clusters;

/// Reads a Kafka cluster.
#[utoipa::path(get, path = "/cmk/v2/clusters/{id}", operation_id = "getCmkV2Cluster", tag = "Clusters",
    params(
        ("id" = String, Path, description = "`lkc-…`"),
        ("environment" = String, Query, description = "The environment that the cluster is in"),
    ),
    responses((status = 200, body = Cluster)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<LogicalClusterId>,
    parameters: Parameters,
) -> Result<Json<Cluster>, ApiError> {
    let environment: EnvironmentId = parameters.required_id("environment")?;
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let row = logical_clusters::get(&mut transaction, &caller.scope, &id).await?;
    let row = row.filter(|row| row.environment_id == environment).ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::ViewCluster, Target::Cluster(&row.environment_id, &row.id))?;
    Ok(Json(render(&app, caller.scope.organization_id(), &row)?))
}
