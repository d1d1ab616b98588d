//! `PATCH /cmk/v2/clusters/{id}`. The environment is named in the body, or in the query.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::{EnvironmentId, LogicalClusterId};
use millstream_api::rest::cmk::{Cluster, UpdateCluster, UpdateClusterSpec};

use super::{check_name, name_is_taken, render};
use crate::app::App;
use crate::domain::cluster::{check_kind, check_unchanged};
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::path::PathId;
use crate::store::logical_clusters;

/// Changes a Kafka cluster.
#[utoipa::path(patch, path = "/cmk/v2/clusters/{id}", operation_id = "updateCmkV2Cluster", tag = "Clusters",
    params(
        ("id" = String, Path, description = "`lkc-…`"),
        ("environment" = Option<String>, Query, description = "The environment, if the body does not name it"),
    ),
    request_body = UpdateCluster, responses((status = 200, body = Cluster)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<LogicalClusterId>,
    parameters: Parameters,
    body: JsonBody<UpdateCluster>,
) -> Result<Json<Cluster>, ApiError> {
    let spec = body.value.spec;
    let environment = environment_of(&spec, &parameters)?;
    let mut transaction = app.database.write().await?;
    let row = logical_clusters::get_and_lock(&mut transaction, &caller.scope, &id).await?;
    let mut row = row.filter(|row| row.environment_id == environment).ok_or_else(ApiError::not_found)?;
    let present = render(&app, caller.scope.organization_id(), &row)?.spec;
    check_unchanged("spec.cloud", &present.cloud, spec.cloud.as_ref())?;
    check_unchanged("spec.region", &present.region, spec.region.as_ref())?;
    check_unchanged("spec.availability", &present.availability, spec.availability.as_ref())?;
    if let Some(config) = &spec.config {
        check_kind(config.kind)?;
        check_unchanged("spec.config.kind", &present.config.kind, Some(&config.kind))?;
    }
    if let Some(display_name) = spec.display_name {
        check_name(&display_name)?;
        let now = app.clock.now();
        let renamed = logical_clusters::rename(&mut transaction, &caller.scope, &id, &display_name, now).await;
        renamed.map_err(name_is_taken)?;
        transaction.commit().await?;
        row.display_name = display_name;
        row.updated_at = now.0;
    }
    Ok(Json(render(&app, caller.scope.organization_id(), &row)?))
}

fn environment_of(spec: &UpdateClusterSpec, parameters: &Parameters) -> Result<EnvironmentId, ApiError> {
    match (&spec.environment, parameters.first("environment")) {
        (Some(environment), _) => environment.id.parse().map_err(|_| ApiError::not_found()),
        (None, Some(environment)) => environment.parse().map_err(|_| ApiError::not_found()),
        (None, None) => {
            let detail = "spec.environment.id is required: name the environment that the cluster is in";
            Err(ApiError::bad_request(detail).at("/spec/environment/id"))
        }
    }
}
