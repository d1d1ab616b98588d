//! `PATCH /cmk/v2/clusters/{id}`. The environment is named in the body, or in the query.
//!
//! Live brokers know a new kind or size when this is answered.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::{EnvironmentId, LogicalClusterId};
use millstream_api::rest::cmk::{Cluster, ClusterConfig, ClusterKind, UpdateCluster, UpdateClusterSpec};

use super::{check_name, from_text, name_is_taken, partitions, render, shape_of};
use crate::app::{Announced, App};
use crate::domain::authorization::{Action, Target};
use crate::domain::cluster::{Shape, check_availability, check_shrink, check_unchanged, reshape, shrinks};
use crate::domain::lifecycle::LogicalPhase;
use crate::domain::placement::Room;
use crate::fleet::wait;
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::path::PathId;
use crate::store::logical_clusters::{self, LogicalCluster as Row};
use crate::store::{config_log, physical_clusters, quotas, shard};

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
    condition: Condition,
    parameters: Parameters,
    body: JsonBody<UpdateCluster>,
) -> Result<Json<Cluster>, ApiError> {
    let spec = body.value.spec;
    let environment = environment_of(&spec, &parameters)?;
    let partitions = count_partitions_before_shrink(&app, &caller, &id, &spec).await?;
    let mut transaction = app.database.write_for(&caller.scope).await?;
    let row = logical_clusters::get_and_lock(&mut transaction, &caller.scope, &id).await?;
    let mut row = row.filter(|row| row.environment_id == environment).ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::ChangeCluster, Target::Cluster(&row.environment_id, &row.id))?;
    condition.check(&render(&app, caller.scope.organization_id(), &row)?)?;
    let present = render(&app, caller.scope.organization_id(), &row)?.spec;
    check_unchanged("spec.cloud", &present.cloud, spec.cloud.as_ref())?;
    check_unchanged("spec.region", &present.region, spec.region.as_ref())?;
    check_availability(present.availability, spec.availability)?;
    let before = shape_of(&row)?;
    if row.phase == LogicalPhase::Failed && spec.config.is_some() {
        let detail = "the cluster has failed: delete it and create another";
        return Err(ApiError::conflict(detail).at("/spec/config"));
    }
    let after = reshape_row(&row, spec.config.as_ref(), spec.deletion_protection)?;
    if shrinks(before, after) {
        let changed_meanwhile = || ApiError::unavailable_because("the cluster was resized meanwhile: try again");
        check_shrink(before, after, partitions.ok_or_else(changed_meanwhile)?)?;
    }
    if let Some(display_name) = spec.display_name {
        check_name(&display_name)?;
        row.display_name = display_name;
    }
    let is_unchanged = after == before && row.display_name == present.display_name;
    if is_unchanged {
        return Ok(Json(render(&app, caller.scope.organization_id(), &row)?));
    }
    let shares_before = row.shares_of_size();
    row.kind = after.kind.as_str().to_owned();
    row.units = i64::from(after.units);
    row.deletion_protection = after.deletion_protection;
    let now = app.clock.now();
    row.updated_at = now.0;
    logical_clusters::update(&mut transaction, &caller.scope, &row).await.map_err(name_is_taken)?;
    quotas::exchange(&mut transaction, &caller.scope, shares_before, row.shares_of_size(), now).await?;
    let mut announced = Announced::new();
    let limits_change = (after.kind, after.units) != (before.kind, before.units);
    if let (Some(physical_cluster), true) = (&row.physical_cluster_id, limits_change) {
        let more = Room::reserved_by(after.kind).minus(Room::reserved_by(before.kind));
        if !physical_clusters::reserve(&mut transaction, physical_cluster, more).await? {
            let detail = format!("there is no room for a {} cluster where it is", after.kind.as_str());
            return Err(ApiError::conflict(detail).at("/spec/config/kind"));
        }
        if after.kind == ClusterKind::Dedicated {
            physical_clusters::resize(&mut transaction, physical_cluster, &id, row.units).await?;
        }
        let changes = vec![shard::upsert_logical_cluster(row.config_item(caller.scope.organization_id()))];
        let revision = config_log::append(&mut transaction, physical_cluster, changes, now).await?;
        announced.push((physical_cluster.clone(), revision));
    }
    transaction.commit().await?;
    app.agents.look_again();
    wait::announce(&app, &announced).await;
    Ok(Json(render(&app, caller.scope.organization_id(), &row)?))
}

/// How many partitions the cluster has, if the request takes CKUs away and nothing else speaks against it. Asked for
/// before the transaction, which must not wait for brokers; they hold the cluster to its new limit from then on.
async fn count_partitions_before_shrink(
    app: &App,
    caller: &Caller,
    id: &LogicalClusterId,
    spec: &UpdateClusterSpec,
) -> Result<Option<u64>, ApiError> {
    let Some(config) = spec.config.as_ref().filter(|config| config.cku.is_some()) else { return Ok(None) };
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let Some(row) = logical_clusters::get(&mut transaction, &caller.scope, id).await? else { return Ok(None) };
    drop(transaction);
    let target = Target::Cluster(&row.environment_id, &row.id);
    if caller.authorize(Action::ChangeCluster, target).is_err() || row.phase == LogicalPhase::Failed {
        return Ok(None);
    }
    let before = shape_of(&row)?;
    match reshape_row(&row, Some(config), None) {
        Ok(after) if shrinks(before, after) => partitions::count(app, caller, &row).await.map(Some),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// What a stored cluster would be after a change, or why it cannot be.
fn reshape_row(
    row: &Row,
    config: Option<&ClusterConfig>,
    deletion_protection: Option<bool>,
) -> Result<Shape, ApiError> {
    let observed_units = u32::try_from(row.observed_units).map_err(|_| ApiError::internal())?;
    Ok(reshape(shape_of(row)?, observed_units, from_text(&row.availability)?, config, deletion_protection)?)
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
