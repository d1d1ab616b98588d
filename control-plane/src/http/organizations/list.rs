//! `GET /org/v2/organizations`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::rest::envelope::Page;
use millstream_api::rest::org::{API_VERSION, Organization};

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::page::{Cursor, Position};
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::lists;
use crate::http::parameters::Parameters;
use crate::store::organizations;
use crate::store::page::Listing;

/// Lists the organizations that the caller sees: its own.
#[utoipa::path(get, path = "/org/v2/organizations", operation_id = "listOrgV2Organizations", tag = "Organizations",
    params(
        ("page_size" = Option<u32>, Query, description = "Objects on the page, 1 to 100, 10 if left out"),
        ("page_token" = Option<String>, Query, description = "From a link in `metadata`"),
    ),
    responses((status = 200, body = Page<Organization>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Page<Organization>>, ApiError> {
    let request = parameters.page()?;
    caller.authorize(Action::ViewOrganization, Target::Organization)?;
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let own = organizations::get(&mut transaction, &caller.scope).await?;
    let total = u64::from(own.is_some());
    let on_this_page = matches!(request.position, Position::First | Position::Last);
    let rows = own.into_iter().filter(|_| on_this_page).collect();
    let listing = Listing { rows, total, has_previous: false, has_next: false };
    Ok(Json(lists::page(
        &app,
        "/org/v2/organizations",
        (API_VERSION, "OrganizationList"),
        (&parameters, &request),
        listing,
        |row| Cursor { created_at: row.created_at, id: row.id.to_string() },
        |row| render(&app, row),
    )))
}
