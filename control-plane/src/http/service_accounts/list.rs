//! `GET /iam/v2/service-accounts`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::rest::envelope::Page;
use millstream_api::rest::iam::{API_VERSION, ServiceAccount};

use super::render;
use crate::app::App;
use crate::domain::page::Cursor;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::lists;
use crate::http::parameters::Parameters;
use crate::store::service_accounts;

/// Lists the service accounts of the caller's organization.
#[utoipa::path(get, path = "/iam/v2/service-accounts", operation_id = "listIamV2ServiceAccounts",
    tag = "Service accounts",
    params(
        ("display_name" = Option<Vec<String>>, Query, description = "Only those with one of these names"),
        ("page_size" = Option<u32>, Query, description = "Objects on the page, 1 to 100, 10 if left out"),
        ("page_token" = Option<String>, Query, description = "From a link in `metadata`"),
    ),
    responses((status = 200, body = Page<ServiceAccount>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Page<ServiceAccount>>, ApiError> {
    let request = parameters.page()?;
    let display_names = parameters.all("display_name")?;
    let visible = caller.grants.visible_service_accounts();
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let listing = service_accounts::list(&mut transaction, &caller.scope, &visible, &display_names, &request).await?;
    let organization = caller.scope.organization_id();
    Ok(Json(lists::page(
        &app,
        "/iam/v2/service-accounts",
        (API_VERSION, "ServiceAccountList"),
        (&parameters, &request),
        listing,
        |row| Cursor { created_at: row.created_at, id: row.id.to_string() },
        |row| render(&app, organization, row),
    )))
}
