//! `GET /iam/v2/api-keys`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::rest::envelope::Page;
use millstream_api::rest::iam::{API_VERSION, ApiKey, CLOUD_RESOURCE_ID};

use super::render;
use crate::app::App;
use crate::domain::api_key::KeyScope;
use crate::domain::page::Cursor;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::lists;
use crate::http::parameters::Parameters;
use crate::store::api_keys::{self, Filter};

/// Lists the API keys of the caller's organization, without their secrets.
#[utoipa::path(get, path = "/iam/v2/api-keys", operation_id = "listIamV2ApiKeys", tag = "API keys",
    params(
        ("spec.owner" = Option<String>, Query, description = "Only keys of this service account or user"),
        ("spec.resource" = Option<String>, Query, description = "Only keys of this cluster; `cloud` for Cloud keys"),
        ("page_size" = Option<u32>, Query, description = "Objects on the page, 1 to 100, 10 if left out"),
        ("page_token" = Option<String>, Query, description = "From a link in `metadata`"),
    ),
    responses((status = 200, body = Page<ApiKey>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Page<ApiKey>>, ApiError> {
    let request = parameters.page()?;
    let filter = parse_filter(&parameters)?;
    let visible = caller.grants.visible_api_keys();
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let listing = api_keys::list(&mut transaction, &caller.scope, &visible, &filter, &request).await?;
    let organization = caller.scope.organization_id();
    Ok(Json(lists::page(
        &app,
        "/iam/v2/api-keys",
        (API_VERSION, "ApiKeyList"),
        (&parameters, &request),
        listing,
        |row| Cursor { created_at: row.created_at, id: row.id.to_string() },
        |row| render(&app, organization, row, None),
    )))
}

fn parse_filter(parameters: &Parameters) -> Result<Filter, ApiError> {
    let mut filter = Filter::default();
    if let Some(owner) = parameters.first("spec.owner") {
        filter.owner_service_account = owner.parse().ok();
        filter.owner_user = owner.parse().ok();
        if filter.owner_service_account.is_none() && filter.owner_user.is_none() {
            return Err(ApiError::bad_parameter(
                "spec.owner",
                "spec.owner must be the id of a service account or user",
            ));
        }
    }
    filter.resource = match parameters.first("spec.resource") {
        None => None,
        Some(CLOUD_RESOURCE_ID) => Some(KeyScope::Cloud),
        Some(text) => {
            let detail = "spec.resource must be the id of a Kafka cluster, or cloud";
            let id = text.parse().map_err(|_| ApiError::bad_parameter("spec.resource", detail))?;
            Some(KeyScope::Kafka(id))
        }
    };
    Ok(filter)
}
