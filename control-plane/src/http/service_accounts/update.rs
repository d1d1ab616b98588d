//! `PATCH /iam/v2/service-accounts/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::ServiceAccountId;
use millstream_api::rest::iam::{ServiceAccount, UpdateServiceAccount};

use super::{check_texts, name_is_taken, render};
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::service_accounts;

/// Changes a service account.
#[utoipa::path(patch, path = "/iam/v2/service-accounts/{id}", operation_id = "updateIamV2ServiceAccount",
    tag = "Service accounts", params(("id" = String, Path, description = "`sa-…`")),
    request_body = UpdateServiceAccount, responses((status = 200, body = ServiceAccount)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ServiceAccountId>,
    condition: Condition,
    body: JsonBody<UpdateServiceAccount>,
) -> Result<Json<ServiceAccount>, ApiError> {
    let mut transaction = app.database.write_for(&caller.scope).await?;
    let row = service_accounts::get_and_lock(&mut transaction, &caller.scope, &id).await?;
    let mut row = row.ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::ChangeServiceAccount, Target::ServiceAccount(&id))?;
    condition.check(&render(&app, caller.scope.organization_id(), &row))?;
    row.display_name = body.value.display_name.unwrap_or(row.display_name);
    row.description = body.value.description.unwrap_or(row.description);
    check_texts(&row.display_name, &row.description)?;
    let now = app.clock.now();
    service_accounts::update(&mut transaction, &caller.scope, &id, &row.display_name, &row.description, now)
        .await
        .map_err(name_is_taken)?;
    transaction.commit().await?;
    row.updated_at = now.0;
    Ok(Json(render(&app, caller.scope.organization_id(), &row)))
}
