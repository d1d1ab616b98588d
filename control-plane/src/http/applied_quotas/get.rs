//! `GET /service-quota/v1/applied-quotas/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::rest::service_quota::AppliedQuota;

use super::{apply, objects, parameter_of, render};
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::quota;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::path::PathId;
use crate::store::quotas;

/// Reads one quota of one object, which a query parameter names unless it is the organization.
#[utoipa::path(get, path = "/service-quota/v1/applied-quotas/{id}", operation_id = "getServiceQuotaV1AppliedQuota",
    tag = "Quotas",
    params(
        ("id" = String, Path, description = "The quota's code, such as `iam.max_environments.per_org`"),
        ("environment" = Option<String>, Query, description = "The environment, for a quota of one"),
        ("kafka_cluster" = Option<String>, Query, description = "The cluster, for a quota of one"),
        ("service_account" = Option<String>, Query, description = "The service account, for a quota of one"),
        ("user" = Option<String>, Query, description = "The user, for a quota of one"),
    ),
    responses((status = 200, body = AppliedQuota)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(code): PathId<String>,
    parameters: Parameters,
) -> Result<Json<AppliedQuota>, ApiError> {
    let definition = quota::ALL.into_iter().find(|definition| definition.code == code);
    let definition = definition.ok_or_else(ApiError::not_found)?;
    let missing = parameter_of(definition.scope).filter(|name| parameters.first(name).is_none_or(str::is_empty));
    if let Some(name) = missing {
        let detail = format!("the query parameter {name} is required: it names what the quota belongs to");
        return Err(ApiError::bad_parameter(name, detail));
    }
    caller.authorize(Action::ViewQuotas, Target::Organization)?;
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let objects = objects(&mut transaction, &caller.scope, definition.scope, &parameters).await?;
    let counters = quotas::counters(&mut transaction, &caller.scope).await?;
    drop(transaction);
    let object = objects.first().ok_or_else(ApiError::not_found)?;
    let applied = apply(definition, object, &counters, app.clock.now());
    Ok(Json(render(&app, caller.scope.organization_id(), &applied)))
}
