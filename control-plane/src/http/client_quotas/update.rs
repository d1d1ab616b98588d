//! `PATCH /kafka-quotas/v1/client-quotas/{id}`. Live brokers hold clients to it when this is answered.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::ClientQuotaId;
use millstream_api::rest::envelope::ReferenceInput;
use millstream_api::rest::kafka_quotas::{ClientQuota, UpdateClientQuota};

use super::{check_principals, check_texts, parse_references, parse_throughput, render};
use crate::app::{Announced, App};
use crate::domain::authorization::{Action, Target};
use crate::domain::cluster::check_unchanged;
use crate::fleet::wait;
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::{client_quotas, config_log, logical_clusters, shard};

/// Changes a client quota.
#[utoipa::path(patch, path = "/kafka-quotas/v1/client-quotas/{id}", operation_id = "updateKafkaQuotasV1ClientQuota",
    tag = "Client quotas", params(("id" = String, Path, description = "`cq-…`")),
    request_body = UpdateClientQuota, responses((status = 200, body = ClientQuota)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ClientQuotaId>,
    condition: Condition,
    body: JsonBody<UpdateClientQuota>,
) -> Result<Json<ClientQuota>, ApiError> {
    let spec = body.value.spec;
    let mut transaction = app.database.write_for(&caller.scope).await?;
    let found = client_quotas::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    let of_cluster = Target::Cluster(&found.environment_id, &found.cluster_id);
    caller.authorize(Action::ManageClientQuota, of_cluster)?;
    let cluster = logical_clusters::get_and_lock(&mut transaction, &caller.scope, &found.cluster_id).await?;
    let cluster = cluster.ok_or_else(ApiError::not_found)?;
    // Again under the lock: another change may have come first.
    let mut row = client_quotas::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    condition.check(&render(&app, caller.scope.organization_id(), &row))?;
    let id_of = |reference: Option<ReferenceInput>| reference.map(|reference| reference.id);
    check_unchanged("spec.cluster.id", &row.cluster_id.to_string(), id_of(spec.cluster).as_ref())?;
    check_unchanged("spec.environment.id", &row.environment_id.to_string(), id_of(spec.environment).as_ref())?;
    row.display_name = spec.display_name.unwrap_or(row.display_name);
    row.description = spec.description.unwrap_or(row.description);
    check_texts(&row.display_name, &row.description)?;
    if let Some(throughput) = &spec.throughput {
        (row.ingress_byte_rate, row.egress_byte_rate) = parse_throughput(throughput)?;
    }
    if let Some(references) = &spec.principals {
        let before = std::mem::replace(&mut row.principals, parse_references(references)?);
        check_principals(&mut transaction, &caller, &row, &before.0).await?;
    }
    let now = app.clock.now();
    row.updated_at = now.0;
    client_quotas::update(&mut transaction, &caller.scope, &row).await?;
    let mut announced = Announced::new();
    if let Some(physical_cluster) = cluster.physical_cluster_id {
        let changes = vec![shard::upsert_client_quota(row.config_item())];
        let revision = config_log::append(&mut transaction, &physical_cluster, changes, now).await?;
        announced.push((physical_cluster, revision));
    }
    transaction.commit().await?;
    wait::announce(&app, &announced).await;
    Ok(Json(render(&app, caller.scope.organization_id(), &row)))
}
