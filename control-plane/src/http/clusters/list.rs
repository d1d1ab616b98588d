//! `GET /cmk/v2/clusters?environment=`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::ids::EnvironmentId;
use millstream_api::rest::cmk::{API_VERSION, Cluster};
use millstream_api::rest::envelope::Page;

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::page::Cursor;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::lists;
use crate::http::parameters::Parameters;
use crate::store::{environments, logical_clusters};

/// Lists the Kafka clusters of an environment.
#[utoipa::path(get, path = "/cmk/v2/clusters", operation_id = "listCmkV2Clusters", tag = "Clusters",
    params(
        ("environment" = String, Query, description = "The environment that the clusters are in"),
        ("page_size" = Option<u32>, Query, description = "Objects on the page, 1 to 100, 10 if left out"),
        ("page_token" = Option<String>, Query, description = "From a link in `metadata`"),
    ),
    responses((status = 200, body = Page<Cluster>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Page<Cluster>>, ApiError> {
    let request = parameters.page()?;
    let environment: EnvironmentId = parameters.required_id("environment")?;
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let known = environments::get(&mut transaction, &caller.scope, &environment).await?;
    known.ok_or_else(ApiError::not_found)?;
    caller.authorize(Action::ViewEnvironment, Target::Environment(&environment))?;
    let visible = caller.grants.visible_clusters(&environment);
    let listing = logical_clusters::list(&mut transaction, &caller.scope, &environment, &visible, &request).await?;
    let organization = caller.scope.organization_id();
    let page = lists::page(
        &app,
        "/cmk/v2/clusters",
        (API_VERSION, "ClusterList"),
        (&parameters, &request),
        listing,
        |row| Cursor { created_at: row.created_at, id: row.id.to_string() },
        |row| render(&app, organization, row),
    );
    let data = page.data.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Json(Page { api_version: page.api_version, kind: page.kind, metadata: page.metadata, data }))
}
