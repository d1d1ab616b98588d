//! `PATCH /iam/v2/api-keys/{id}`: name and description.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::ApiKeyId;
use millstream_api::rest::iam::{ApiKey, UpdateApiKey};

use super::{authorize, check_texts, render};
use crate::app::App;
use crate::domain::authorization::Action;
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::entity_tag::Condition;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::http::propagation;
use crate::store::api_keys;

/// Changes the name or description of an API key.
#[utoipa::path(patch, path = "/iam/v2/api-keys/{id}", operation_id = "updateIamV2ApiKey", tag = "API keys",
    params(("id" = String, Path, description = "16 upper-case letters or digits")),
    request_body = UpdateApiKey, responses((status = 200, body = ApiKey)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
    condition: Condition,
    body: JsonBody<UpdateApiKey>,
) -> Result<Json<ApiKey>, ApiError> {
    let mut transaction = app.database.write_for(&caller.scope).await?;
    let row = api_keys::get_and_lock(&mut transaction, &caller.scope, &id).await?;
    let mut row = row.ok_or_else(ApiError::not_found)?;
    authorize(&caller, Action::ManageApiKey, &row)?;
    condition.check(&render(&app, caller.scope.organization_id(), &row, None))?;
    row.display_name = body.value.spec.display_name.unwrap_or(row.display_name);
    row.description = body.value.spec.description.unwrap_or(row.description);
    check_texts(&row.display_name, &row.description)?;
    let now = app.clock.now();
    api_keys::update(&mut transaction, &caller.scope, &id, &row.display_name, &row.description, now).await?;
    transaction.commit().await?;
    row.updated_at = now.0;
    let mut answer = render(&app, caller.scope.organization_id(), &row, None);
    answer.status = Some(propagation::status(&app, &row.announced()).await);
    Ok(Json(answer))
}
