//! `DELETE /kafka-quotas/v1/client-quotas/{id}`. Live brokers have forgotten it when this is answered.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use millstream_api::ids::ClientQuotaId;

use super::render;
use crate::app::{Announced, App};
use crate::domain::authorization::{Action, Target};
use crate::domain::quota::{self, Share};
use crate::fleet::wait;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::{client_quotas, config_log, logical_clusters, quotas, shard};

/// Deletes a client quota.
#[utoipa::path(delete, path = "/kafka-quotas/v1/client-quotas/{id}", operation_id = "deleteKafkaQuotasV1ClientQuota",
    tag = "Client quotas", params(("id" = String, Path, description = "`cq-…`")),
    responses((status = 204, description = "Deleted")))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ClientQuotaId>,
    condition: Condition,
) -> Result<StatusCode, ApiError> {
    let mut transaction = app.database.write_for(&caller.scope).await?;
    let row = client_quotas::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    let of_cluster = Target::Cluster(&row.environment_id, &row.cluster_id);
    caller.authorize(Action::ManageClientQuota, of_cluster)?;
    let cluster = logical_clusters::get_and_lock(&mut transaction, &caller.scope, &row.cluster_id).await?;
    let cluster = cluster.ok_or_else(ApiError::not_found)?;
    // Again under the lock: another change may have come first.
    let row = client_quotas::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    condition.check(&render(&app, caller.scope.organization_id(), &row))?;
    if !client_quotas::delete(&mut transaction, &caller.scope, &id).await? {
        return Err(ApiError::not_found());
    }
    let freed = [Share::of_cluster(&quota::CLIENT_QUOTAS_OF_CLUSTER, &row.cluster_id)];
    quotas::give_back(&mut transaction, &caller.scope, freed).await?;
    let mut announced = Announced::new();
    if let Some(physical_cluster) = cluster.physical_cluster_id {
        let changes = vec![shard::delete_client_quota(&id)];
        let revision = config_log::append(&mut transaction, &physical_cluster, changes, app.clock.now()).await?;
        announced.push((physical_cluster, revision));
    }
    transaction.commit().await?;
    wait::announce(&app, &announced).await;
    Ok(StatusCode::NO_CONTENT)
}
