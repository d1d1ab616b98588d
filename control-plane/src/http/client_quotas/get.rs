//! `GET /kafka-quotas/v1/client-quotas/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::ClientQuotaId;
use millstream_api::rest::kafka_quotas::ClientQuota;

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::client_quotas;

/// Reads a client quota.
#[utoipa::path(get, path = "/kafka-quotas/v1/client-quotas/{id}", operation_id = "getKafkaQuotasV1ClientQuota",
    tag = "Client quotas", params(("id" = String, Path, description = "`cq-…`")),
    responses((status = 200, body = ClientQuota)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ClientQuotaId>,
) -> Result<Json<ClientQuota>, ApiError> {
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let row = client_quotas::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::ViewClientQuota, Target::Cluster(&row.environment_id, &row.cluster_id))?;
    Ok(Json(render(&app, caller.scope.organization_id(), &row)))
}
