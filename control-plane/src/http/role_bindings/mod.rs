//! `/iam/v2/role-bindings`. A binding is never changed: it is deleted, and another one made.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;

use millstream_api::crn::CrnPattern;
use millstream_api::rest::iam::{API_VERSION, RoleBinding};

use super::answers::metadata;
use super::caller::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::authentication::OrgScope;
use crate::domain::authorization::{Action, Target};
use crate::domain::crn;
use crate::domain::role_binding::RoleBindingError;
use crate::store::Transaction;
use crate::store::role_bindings::{self, RoleBinding as Row};

fn render(app: &App, row: &Row) -> RoleBinding {
    let path = format!("/iam/v2/role-bindings/{}", row.id);
    let resource_name = crn::role_binding(row.organization_id, &row.id);
    let crn_pattern = if row.sent_crn_pattern.is_empty() { &row.crn_pattern } else { &row.sent_crn_pattern };
    RoleBinding {
        api_version: API_VERSION.into(),
        kind: "RoleBinding".into(),
        id: row.id.to_string(),
        metadata: metadata(app, &path, resource_name, row.created_at, row.created_at),
        principal: row.principal().map(|principal| principal.to_string()).unwrap_or_default(),
        role_name: row.role_name.clone(),
        crn_pattern: crn_pattern.clone(),
        status: None,
    }
}

/// Fails unless the caller may do this to a role binding.
fn authorize(caller: &Caller, action: Action, row: &Row) -> Result<(), ApiError> {
    let principal = row.principal().ok_or_else(ApiError::internal)?;
    let pattern: CrnPattern = row.crn_pattern.parse().map_err(|_| ApiError::internal())?;
    caller.authorize(action, Target::RoleBinding(&principal, &pattern.scope))
}

/// Reads a pattern of the caller's own organization; one of another does not exist for it.
fn parse_pattern(scope: &OrgScope, text: &str) -> Result<CrnPattern, PatternError> {
    let pattern: CrnPattern =
        text.parse().map_err(|error: millstream_api::crn::ParseCrnError| PatternError::Malformed(error.to_string()))?;
    if pattern.organization == scope.organization_id() { Ok(pattern) } else { Err(PatternError::NotFound) }
}

enum PatternError {
    Malformed(String),
    NotFound,
}

/// Refuses what would leave the organization without an administrator.
pub async fn keep_an_administrator(transaction: &mut Transaction, scope: &OrgScope) -> Result<(), ApiError> {
    if role_bindings::has_administrator(transaction, scope).await? {
        return Ok(());
    }
    let detail = "the organization would have no OrganizationAdmin: give the role to somebody else first";
    Err(ApiError::conflict(detail))
}

impl From<RoleBindingError> for ApiError {
    fn from(error: RoleBindingError) -> Self {
        Self::unprocessable(error.to_string()).at("/role_name")
    }
}
