//! `DELETE /iam/v2/sessions/{id}`: logging out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use millstream_api::ids::Principal;

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::sessions;

/// Ends a session of the caller. Its token is worth nothing from now on.
#[utoipa::path(delete, path = "/iam/v2/sessions/{id}", operation_id = "deleteIamV2Session", tag = "Sessions",
    params(("id" = String, Path, description = "A UUID")), responses((status = 204, description = "Ended")))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<uuid::Uuid>,
) -> Result<StatusCode, ApiError> {
    let Principal::User(user) = caller.principal() else { return Err(ApiError::not_found()) };
    let mut transaction = app.database.write_for(&caller.scope).await?;
    if !sessions::end(&mut transaction, &caller.scope, user, &id.to_string()).await? {
        return Err(ApiError::not_found());
    }
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
