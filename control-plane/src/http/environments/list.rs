//! `GET /org/v2/environments`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::rest::envelope::Page;
use millstream_api::rest::org::{API_VERSION, Environment};

use super::render;
use crate::app::App;
use crate::domain::page::Cursor;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::lists;
use crate::http::parameters::Parameters;
use crate::store::environments;

/// Lists the environments of the caller's organization.
#[utoipa::path(get, path = "/org/v2/environments", operation_id = "listOrgV2Environments", tag = "Environments",
    params(
        ("page_size" = Option<u32>, Query, description = "Objects on the page, 1 to 100, 10 if left out"),
        ("page_token" = Option<String>, Query, description = "From a link in `metadata`"),
    ),
    responses((status = 200, body = Page<Environment>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Page<Environment>>, ApiError> {
    let request = parameters.page()?;
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let listing =
        environments::list(&mut transaction, &caller.scope, &caller.grants.visible_environments(), &request).await?;
    let organization = caller.scope.organization_id();
    Ok(Json(lists::page(
        &app,
        "/org/v2/environments",
        (API_VERSION, "EnvironmentList"),
        (&parameters, &request),
        listing,
        |row| Cursor { created_at: row.created_at, id: row.id.to_string() },
        |row| render(&app, organization, row),
    )))
}
