//! `GET /kafka-quotas/v1/client-quotas?spec.cluster=&environment=`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::{EnvironmentId, LogicalClusterId};
use millstream_api::rest::envelope::Page;
use millstream_api::rest::kafka_quotas::{API_VERSION, ClientQuota};

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::page::Cursor;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::lists;
use crate::http::parameters::Parameters;
use crate::store::{client_quotas, logical_clusters};

/// Lists the client quotas of a cluster.
#[utoipa::path(get, path = "/kafka-quotas/v1/client-quotas", operation_id = "listKafkaQuotasV1ClientQuotas",
    tag = "Client quotas",
    params(
        ("spec.cluster" = String, Query, description = "The cluster that the quotas hold in"),
        ("environment" = String, Query, description = "The environment that the cluster is in"),
        ("page_size" = Option<u32>, Query, description = "Objects on the page, 1 to 100, 10 if left out"),
        ("page_token" = Option<String>, Query, description = "From a link in `metadata`"),
    ),
    responses((status = 200, body = Page<ClientQuota>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Page<ClientQuota>>, ApiError> {
    let request = parameters.page()?;
    let cluster_id: LogicalClusterId = parameters.required_id("spec.cluster")?;
    let environment: EnvironmentId = parameters.required_id("environment")?;
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let cluster = logical_clusters::get(&mut transaction, &caller.scope, &cluster_id).await?;
    cluster.filter(|cluster| cluster.environment_id == environment).ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::ViewClientQuota, Target::Cluster(&environment, &cluster_id))?;
    let listing = client_quotas::list(&mut transaction, &caller.scope, &cluster_id, &request).await?;
    let organization = caller.scope.organization_id();
    Ok(Json(lists::page(
        &app,
        "/kafka-quotas/v1/client-quotas",
        (API_VERSION, "ClientQuotaList"),
        (&parameters, &request),
        listing,
        |row| Cursor { created_at: row.created_at, id: row.id.to_string() },
        |row| render(&app, organization, row),
    )))
}
