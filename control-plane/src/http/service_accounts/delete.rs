//! `DELETE /iam/v2/service-accounts/{id}`. Its keys go with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use millstream_api::ids::ServiceAccountId;

use crate::app::{Announced, App};
use crate::fleet::wait;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::{api_keys, config_log, service_accounts, shard};

/// Deletes a service account and its keys.
#[utoipa::path(delete, path = "/iam/v2/service-accounts/{id}", operation_id = "deleteIamV2ServiceAccount",
    tag = "Service accounts", params(("id" = String, Path, description = "`sa-…`")),
    responses((status = 204, description = "Deleted")))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ServiceAccountId>,
) -> Result<StatusCode, ApiError> {
    let mut transaction = app.database.write().await?;
    let account = service_accounts::get_and_lock(&mut transaction, &caller.scope, &id).await?;
    account.ok_or_else(ApiError::not_found)?;
    let keys = api_keys::delete_of_service_account(&mut transaction, &caller.scope, &id).await?;
    service_accounts::delete(&mut transaction, &caller.scope, &id).await?;
    // In the order of their ids, so that two requests never wait for each other's counters.
    let mut by_physical_cluster = BTreeMap::<_, Vec<_>>::new();
    for (physical_cluster, key) in &keys {
        by_physical_cluster.entry(physical_cluster.clone()).or_default().push(shard::delete_api_key(key));
    }
    let mut announced = Announced::new();
    for (physical_cluster, changes) in by_physical_cluster {
        let revision = config_log::append(&mut transaction, &physical_cluster, changes, app.clock.now()).await?;
        announced.push((physical_cluster, revision));
    }
    transaction.commit().await?;
    wait::announce(&app, &announced).await;
    Ok(StatusCode::NO_CONTENT)
}
