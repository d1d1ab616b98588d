//! `DELETE /cmk/v2/clusters/{id}?environment=`. Its keys and role bindings go with it, and brokers give up its topics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use millstream_api::ids::{EnvironmentId, LogicalClusterId};

use super::{render, shape_of};
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::placement::Room;
use crate::fleet::wait;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::path::PathId;
use crate::store::api_keys::{self, ApiKey};
use crate::store::config_log::{self, Changes};
use crate::store::role_bindings::{self, Gone};
use crate::store::{client_quotas, logical_clusters, organizations, physical_clusters, quotas, shard};

/// Deletes a Kafka cluster, its topics, its keys and the role bindings on it.
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
    condition: Condition,
    parameters: Parameters,
) -> Result<StatusCode, ApiError> {
    let environment: EnvironmentId = parameters.required_id("environment")?;
    let mut transaction = app.database.write_for(&caller.scope).await?;
    organizations::lock(&mut transaction, caller.scope.organization_id()).await?;
    let row = logical_clusters::get_and_lock(&mut transaction, &caller.scope, &id).await?;
    let row = row.filter(|row| row.environment_id == environment).ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::DeleteCluster, Target::Cluster(&row.environment_id, &row.id))?;
    condition.check(&render(&app, caller.scope.organization_id(), &row)?)?;
    if row.deletion_protection {
        let detail = "the cluster is protected from deletion: set spec.deletion_protection to false first";
        return Err(ApiError::conflict(detail));
    }
    let keys = api_keys::delete_of_cluster(&mut transaction, &caller.scope, &id).await?;
    let bindings = role_bindings::delete_with(&mut transaction, &caller.scope, Gone::Cluster(&id)).await?;
    let freed = row.shares().into_iter().chain(keys.iter().flat_map(ApiKey::shares)).chain(bindings.shares);
    quotas::give_back(&mut transaction, &caller.scope, freed).await?;
    quotas::forget(&mut transaction, &caller.scope, id.as_str()).await?;
    let mut changes = Changes::new();
    for host in role_bindings::hosts(&mut transaction, caller.scope.organization_id()).await? {
        changes.insert(host, bindings.ids.iter().map(shard::delete_role_binding).collect());
    }
    let client_quotas = client_quotas::delete_of_cluster(&mut transaction, &caller.scope, &id).await?;
    logical_clusters::delete(&mut transaction, &caller.scope, &id).await?;
    let now = app.clock.now();
    if let Some(physical_cluster) = row.physical_cluster_id.clone() {
        physical_clusters::delete_dedicated(&mut transaction, &physical_cluster, &id, now).await?;
        let freed = Room::default().minus(Room::reserved_by(shape_of(&row)?.kind));
        physical_clusters::reserve(&mut transaction, &physical_cluster, freed).await?;
        let changes = changes.entry(physical_cluster).or_default();
        // Keys first, so that no broker sees a key without its cluster.
        changes.extend(keys.iter().map(|key| shard::delete_api_key(&key.id)));
        changes.extend(client_quotas.iter().map(shard::delete_client_quota));
        changes.push(shard::delete_logical_cluster(&id));
    }
    changes.retain(|_, changes| !changes.is_empty());
    let announced = config_log::append_all(&mut transaction, changes, now).await?;
    transaction.commit().await?;
    app.agents.look_again();
    wait::announce(&app, &announced).await;
    Ok(StatusCode::NO_CONTENT)
}
