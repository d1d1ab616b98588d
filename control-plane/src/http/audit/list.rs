//! `GET /audit/v1/events`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::DateTime;
use millstream_api::rest::audit::{API_VERSION, AuditEvent};
use millstream_api::rest::envelope::Page;

use super::render;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::page::Cursor;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::lists;
use crate::http::parameters::Parameters;
use crate::store::audit_events::{self, Filter};

/// Lists calls of the API in the caller's organization, oldest first.
#[utoipa::path(get, path = "/audit/v1/events", operation_id = "listAuditV1Events", tag = "Audit log",
    params(
        ("principal" = Option<String>, Query, description = "Only calls of this principal, `User:sa-…` or `User:u-…`"),
        ("credential_id" = Option<String>, Query, description = "Only calls made with this API key"),
        ("operation_id" = Option<String>, Query, description = "Only calls of this operation"),
        ("resource_id" = Option<String>, Query, description = "Only calls about this object"),
        ("status" = Option<u16>, Query, description = "Only calls answered with this HTTP status"),
        ("from" = Option<String>, Query, description = "Only calls at this time or later, RFC 3339"),
        ("until" = Option<String>, Query, description = "Only calls before this time, RFC 3339"),
        ("page_size" = Option<u32>, Query, description = "Objects on the page, 1 to 100, 10 if left out"),
        ("page_token" = Option<String>, Query, description = "From a link in `metadata`"),
    ),
    responses((status = 200, body = Page<AuditEvent>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Page<AuditEvent>>, ApiError> {
    let request = parameters.page()?;
    let filter = parse_filter(&parameters)?;
    caller.authorize(Action::ViewAuditLog, Target::Organization)?;
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let listing = audit_events::list(&mut transaction, &caller.scope, &filter, &request).await?;
    let organization = caller.scope.organization_id();
    let mut page = lists::page(
        &app,
        "/audit/v1/events",
        (API_VERSION, "AuditEventList"),
        (&parameters, &request),
        listing,
        |row| Cursor { created_at: row.created_at, id: row.id.clone() },
        |row| render(&app, organization, row),
    );
    // They are not counted: there may be very many.
    page.metadata.total_size = None;
    Ok(Json(page))
}

fn parse_filter(parameters: &Parameters) -> Result<Filter, ApiError> {
    let text = |name: &str| parameters.first(name).map(str::to_owned);
    let time = |name: &str| {
        let parse = |text: &str| DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_micros());
        let detail = format!("{name} must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z");
        parameters.first(name).map(parse).transpose().map_err(|_| ApiError::bad_parameter(name, detail))
    };
    let status = parameters.first("status").map(str::parse::<u16>).transpose();
    let status = status.map_err(|_| ApiError::bad_parameter("status", "status must be an HTTP status, such as 403"))?;
    Ok(Filter {
        principal: text("principal"),
        credential_id: text("credential_id"),
        operation_id: text("operation_id"),
        resource_id: text("resource_id"),
        status: status.map(i64::from),
        from: time("from")?,
        until: time("until")?,
    })
}
