//! `GET /iam/v2/users`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::rest::envelope::Page;
use millstream_api::rest::iam::{API_VERSION, User};

use super::render;
use crate::app::App;
use crate::domain::page::Cursor;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::lists;
use crate::http::parameters::Parameters;
use crate::store::users;

/// Lists the users of the caller's organization that it sees.
#[utoipa::path(get, path = "/iam/v2/users", operation_id = "listIamV2Users", tag = "Users",
    params(
        ("page_size" = Option<u32>, Query, description = "Objects on the page, 1 to 100, 10 if left out"),
        ("page_token" = Option<String>, Query, description = "From a link in `metadata`"),
    ),
    responses((status = 200, body = Page<User>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Page<User>>, ApiError> {
    let request = parameters.page()?;
    let visible = caller.grants.visible_users();
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let listing = users::list(&mut transaction, &caller.scope, &visible, &request).await?;
    let organization = caller.scope.organization_id();
    Ok(Json(lists::page(
        &app,
        "/iam/v2/users",
        (API_VERSION, "UserList"),
        (&parameters, &request),
        listing,
        |row| Cursor { created_at: row.created_at, id: row.id.to_string() },
        |row| render(&app, organization, row),
    )))
}
