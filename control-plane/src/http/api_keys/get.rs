//! `GET /iam/v2/api-keys/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::ApiKeyId;
use millstream_api::rest::iam::ApiKey;
use millstream_api::rest::propagation::WaitFor;

use super::{authorize, render};
use crate::app::App;
use crate::domain::authorization::Action;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::http::propagation::WaitForReady;
use crate::store::api_keys;

/// Reads an API key, without its secret.
#[utoipa::path(get, path = "/iam/v2/api-keys/{id}", operation_id = "getIamV2ApiKey", tag = "API keys",
    params(("id" = String, Path, description = "16 upper-case letters or digits"),
        ("wait" = inline(Option<WaitFor>), Query,
        description = "`ready`: answer when every live broker knows it, after half a minute at the latest")),
    responses((status = 200, body = ApiKey)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
    wait: WaitForReady,
) -> Result<Json<ApiKey>, ApiError> {
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let row = api_keys::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(ApiError::not_found)?;
    authorize(&caller, Action::ViewApiKey, &row)?;
    drop(transaction);
    let mut answer = render(&app, caller.scope.organization_id(), &row, None);
    answer.status = Some(wait.status(&app, &row.announced()).await);
    Ok(Json(answer))
}
