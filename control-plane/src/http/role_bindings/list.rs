//! `GET /iam/v2/role-bindings?crn_pattern=`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::rest::envelope::Page;
use millstream_api::rest::iam::{API_VERSION, RoleBinding};

use super::{PatternError, parse_pattern, render};
use crate::app::App;
use crate::domain::page::Cursor;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::lists;
use crate::http::parameters::Parameters;
use crate::store::role_bindings::{self, Filter};

/// What may stand behind a pattern for "and everything in it", which is meant anyway.
const INCLUSIVE_SUFFIX: &str = "/*";

/// Lists the role bindings on something and on what is in it.
#[utoipa::path(get, path = "/iam/v2/role-bindings", operation_id = "listIamV2RoleBindings", tag = "Role bindings",
    params(
        ("crn_pattern" = String, Query, description = "Only those on this, and on what is in it"),
        ("principal" = Option<String>, Query, description = "Only those of this principal, `User:…`"),
        ("role_name" = Option<String>, Query, description = "Only those of this role"),
        ("page_size" = Option<u32>, Query, description = "Objects on the page, 1 to 100, 10 if left out"),
        ("page_token" = Option<String>, Query, description = "From a link in `metadata`"),
    ),
    responses((status = 200, body = Page<RoleBinding>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Page<RoleBinding>>, ApiError> {
    let request = parameters.page()?;
    let filter = parse_filter(&caller, &parameters)?;
    let visible = caller.grants.visible_role_bindings();
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let listing =
        role_bindings::list(&mut transaction, &caller.scope, (&visible, caller.principal()), &filter, &request).await?;
    Ok(Json(lists::page(
        &app,
        "/iam/v2/role-bindings",
        (API_VERSION, "RoleBindingList"),
        (&parameters, &request),
        listing,
        |row| Cursor { created_at: row.created_at, id: row.id.to_string() },
        |row| render(&app, row),
    )))
}

fn parse_filter(caller: &Caller, parameters: &Parameters) -> Result<Filter, ApiError> {
    let text = parameters.first("crn_pattern").filter(|text| !text.is_empty());
    let Some(text) = text else {
        return Err(ApiError::bad_parameter("crn_pattern", "the query parameter crn_pattern is required"));
    };
    let text = text.strip_suffix(INCLUSIVE_SUFFIX).unwrap_or(text);
    let pattern = parse_pattern(&caller.scope, text).map_err(|error| match error {
        PatternError::Malformed(detail) => ApiError::bad_parameter("crn_pattern", detail),
        PatternError::NotFound => ApiError::not_found(),
    })?;
    let principal = parameters.first("principal").map(str::parse).transpose().map_err(|_| {
        ApiError::bad_parameter("principal", "principal must be User: and the id of a user or service account")
    })?;
    let role = parameters.first("role_name").map(str::parse).transpose();
    let role = role
        .map_err(|error: millstream_api::role::UnknownRole| ApiError::bad_parameter("role_name", error.to_string()))?;
    Ok(Filter { crn_pattern: pattern.to_string(), principal, role })
}
