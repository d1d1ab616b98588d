//! `POST /kafka-quotas/v1/client-quotas`. Live brokers hold clients to it when this is answered.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use millstream_api::ids::{ClientQuotaId, EnvironmentId, LogicalClusterId};
use millstream_api::rest::kafka_quotas::{ClientQuota, CreateClientQuota};

use super::{check_principals, check_texts, parse_references, parse_throughput, render};
use crate::app::{Announced, App};
use crate::domain::authorization::{Action, Target};
use crate::domain::client_quota::is_offered;
use crate::domain::quota::{self, Share};
use crate::fleet::wait;
use crate::http::answers::accepted;
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::idempotency::{self, Idempotency};
use crate::random;
use crate::store::client_quotas::{self, ClientQuota as Row};
use crate::store::{config_log, logical_clusters, quotas, shard};

/// Creates a client quota in a Dedicated cluster.
#[utoipa::path(post, path = "/kafka-quotas/v1/client-quotas", operation_id = "createKafkaQuotasV1ClientQuota",
    tag = "Client quotas", request_body = CreateClientQuota, responses((status = 202, body = ClientQuota)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    body: JsonBody<CreateClientQuota>,
) -> Result<Response, ApiError> {
    let spec = &body.value.spec;
    let description = spec.description.clone().unwrap_or_default();
    check_texts(&spec.display_name, &description)?;
    let (ingress_byte_rate, egress_byte_rate) = parse_throughput(&spec.throughput)?;
    let principals = parse_references(&spec.principals)?;
    let unknown_cluster = || ApiError::not_found().at("/spec/cluster/id");
    let unknown_environment = || ApiError::not_found().at("/spec/environment/id");
    let cluster_id: LogicalClusterId = spec.cluster.id.parse().map_err(|_| unknown_cluster())?;
    let environment_id: EnvironmentId = spec.environment.id.parse().map_err(|_| unknown_environment())?;
    let organization = caller.scope.organization_id();

    let of_cluster = Target::Cluster(&environment_id, &cluster_id);
    caller.authorize(Action::ManageClientQuota, of_cluster).map_err(|error| error.at("/spec/cluster/id"))?;

    let mut transaction = app.database.write_for(&caller.scope).await?;
    if let Some(id) = idempotency.find(&mut transaction, &caller, &body.bytes).await? {
        let id = id.parse().map_err(|_| ApiError::internal())?;
        let row = client_quotas::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(idempotency::gone)?;
        let answer = render(&app, organization, &row);
        return Ok(accepted(&answer.metadata, &answer));
    }
    let cluster = logical_clusters::get_and_lock(&mut transaction, &caller.scope, &cluster_id).await?;
    let cluster = cluster.ok_or_else(unknown_cluster)?;
    if cluster.environment_id != environment_id {
        return Err(unknown_environment());
    }
    if !is_offered(&cluster.kind) {
        let detail = format!("client quotas are not available for {} clusters: use a Dedicated cluster", cluster.kind);
        return Err(ApiError::unprocessable(detail).at("/spec/cluster/id"));
    }
    let now = app.clock.now();
    let row = Row {
        id: ClientQuotaId::from_random(random::bytes()?),
        cluster_id,
        environment_id,
        display_name: spec.display_name.clone(),
        description,
        ingress_byte_rate,
        egress_byte_rate,
        principals,
        created_at: now.0,
        updated_at: now.0,
    };
    check_principals(&mut transaction, &caller, &row, &[]).await?;
    idempotency.remember(&app, &mut transaction, &caller, &body.bytes, row.id.as_str()).await?;
    client_quotas::insert(&mut transaction, &caller.scope, &row).await?;
    let taken = [Share::of_cluster(&quota::CLIENT_QUOTAS_OF_CLUSTER, &row.cluster_id)];
    quotas::take(&mut transaction, &caller.scope, taken, now).await?;
    let mut announced = Announced::new();
    if let Some(physical_cluster) = cluster.physical_cluster_id {
        let changes = vec![shard::upsert_client_quota(row.config_item())];
        let revision = config_log::append(&mut transaction, &physical_cluster, changes, now).await?;
        announced.push((physical_cluster, revision));
    }
    transaction.commit().await?;
    wait::announce(&app, &announced).await;
    let answer = render(&app, organization, &row);
    Ok(accepted(&answer.metadata, &answer))
}
