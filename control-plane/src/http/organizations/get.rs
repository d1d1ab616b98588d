//! `GET /org/v2/organizations/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::OrganizationId;
use millstream_api::rest::org::Organization;

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::path::PathId;
use crate::store::organizations;

/// Reads the caller's organization.
#[utoipa::path(get, path = "/org/v2/organizations/{id}", operation_id = "getOrgV2Organization",
    tag = "Organizations", params(("id" = String, Path, description = "A UUID")),
    responses((status = 200, body = Organization)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<OrganizationId>,
) -> Result<Json<Organization>, ApiError> {
    if id != caller.scope.organization_id() {
        return Err(ApiError::not_found());
    }
    caller.authorize(Action::ViewOrganization, Target::Organization)?;
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let row = organizations::get(&mut transaction, &caller.scope).await?.ok_or_else(ApiError::not_found)?;
    Ok(Json(render(&app, &row)))
}
