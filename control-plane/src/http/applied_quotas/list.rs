//! `GET /service-quota/v1/applied-quotas?scope=`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::rest::envelope::Page;
use millstream_api::rest::service_quota::{API_VERSION, AppliedQuota};

use super::{Applied, apply, objects, render};
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::quota::{self, QuotaScope};
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::lists;
use crate::http::parameters::Parameters;
use crate::store::quotas;

/// Rows of a page at most: more than elsewhere.
const MAX_PAGE_SIZE: u32 = 200;

/// Lists the quotas of a scope: those of each object in it, or of the one that is named.
#[utoipa::path(get, path = "/service-quota/v1/applied-quotas", operation_id = "listServiceQuotaV1AppliedQuotas",
    tag = "Quotas",
    params(
        ("scope" = String, Query, description = "What the quotas belong to, such as `ORGANIZATION`"),
        ("environment" = Option<String>, Query, description = "Only those of this environment or its clusters"),
        ("kafka_cluster" = Option<String>, Query, description = "Only those of this cluster"),
        ("service_account" = Option<String>, Query, description = "Only those of this service account"),
        ("user" = Option<String>, Query, description = "Only those of this user"),
        ("id" = Option<String>, Query, description = "Only the quota with this code"),
        ("page_size" = Option<u32>, Query, description = "Objects on the page, 1 to 200, 10 if left out"),
        ("page_token" = Option<String>, Query, description = "From a link in `metadata`"),
    ),
    responses((status = 200, body = Page<AppliedQuota>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Page<AppliedQuota>>, ApiError> {
    let request = parameters.page_of_at_most(MAX_PAGE_SIZE)?;
    let scope = parse_scope(&parameters)?;
    let code = parameters.first("id").filter(|code| !code.is_empty());
    let definitions = quota::ALL.into_iter().filter(|definition| definition.scope == scope);
    let definitions: Vec<_> =
        definitions.filter(|definition| code.is_none_or(|code| code == definition.code)).collect();
    caller.authorize(Action::ViewQuotas, Target::Organization)?;
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let objects = objects(&mut transaction, &caller.scope, scope, &parameters).await?;
    let counters = quotas::counters(&mut transaction, &caller.scope).await?;
    drop(transaction);
    let now = app.clock.now();
    let of_object = |object| definitions.iter().map(move |definition| (*definition, object));
    let rows: Vec<Applied> = objects
        .iter()
        .flat_map(of_object)
        .map(|(definition, object)| apply(definition, object, &counters, now))
        .collect();
    let organization = caller.scope.organization_id();
    Ok(Json(lists::page(
        &app,
        "/service-quota/v1/applied-quotas",
        (API_VERSION, "AppliedQuotaList"),
        (&parameters, &request),
        lists::cut(rows, &request),
        lists::cursor_of_cut,
        |(_, row)| render(&app, organization, row),
    )))
}

fn parse_scope(parameters: &Parameters) -> Result<QuotaScope, ApiError> {
    let names: Vec<&str> = QuotaScope::ALL.into_iter().map(QuotaScope::as_str).collect();
    let text = parameters.first("scope").unwrap_or_default();
    let scope = QuotaScope::ALL.into_iter().find(|scope| scope.as_str() == text);
    scope.ok_or_else(|| {
        let detail = format!("the query parameter scope is required: use one of {}", names.join(", "));
        ApiError::bad_parameter("scope", detail)
    })
}
