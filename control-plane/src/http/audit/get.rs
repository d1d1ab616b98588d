//! `GET /audit/v1/events/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::rest::audit::AuditEvent;
use uuid::Uuid;

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::audit_events;

/// Reads one event of the audit log.
#[utoipa::path(get, path = "/audit/v1/events/{id}", operation_id = "getAuditV1Event", tag = "Audit log",
    params(("id" = String, Path, description = "The id that an answer carried in `X-Request-Id`")),
    responses((status = 200, body = AuditEvent)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<Uuid>,
) -> Result<Json<AuditEvent>, ApiError> {
    caller.authorize(Action::ViewAuditLog, Target::Organization)?;
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let row = audit_events::get(&mut transaction, &caller.scope, &id.to_string()).await?;
    let row = row.ok_or_else(ApiError::not_found)?;
    Ok(Json(render(&app, caller.scope.organization_id(), &row)))
}
