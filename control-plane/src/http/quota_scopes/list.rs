//! `GET /service-quota/v1/scopes`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::rest::envelope::Page;
use millstream_api::rest::service_quota::{API_VERSION, Scope};

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::quota::QuotaScope;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::lists;
use crate::http::parameters::Parameters;

/// Lists what quotas can belong to.
#[utoipa::path(get, path = "/service-quota/v1/scopes", operation_id = "listServiceQuotaV1Scopes", tag = "Quotas",
    params(
        ("page_size" = Option<u32>, Query, description = "Objects on the page, 1 to 100, 10 if left out"),
        ("page_token" = Option<String>, Query, description = "From a link in `metadata`"),
    ),
    responses((status = 200, body = Page<Scope>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Page<Scope>>, ApiError> {
    let request = parameters.page()?;
    caller.authorize(Action::ViewOrganization, Target::Organization)?;
    let organization = caller.scope.organization_id();
    Ok(Json(lists::page(
        &app,
        "/service-quota/v1/scopes",
        (API_VERSION, "ScopeList"),
        (&parameters, &request),
        lists::cut(QuotaScope::ALL.to_vec(), &request),
        lists::cursor_of_cut,
        |(_, scope)| render(&app, organization, *scope),
    )))
}
