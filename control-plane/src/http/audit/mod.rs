//! `/audit/v1/events`, and the layer that records what they show.

pub mod get;
pub mod layer;
pub mod list;

use millstream_api::ids::OrganizationId;
use millstream_api::rest::audit::{API_VERSION, AuditEvent};

use super::answers::metadata;
use crate::app::App;
use crate::domain::crn;
use crate::domain::timestamp::Timestamp;
use crate::store::audit_events::AuditEvent as Row;

fn render(app: &App, organization: OrganizationId, row: &Row) -> AuditEvent {
    let path = format!("/audit/v1/events/{}", row.id);
    let resource_name = format!("{}/audit-event={}", crn::organization(organization), row.id);
    AuditEvent {
        api_version: API_VERSION.into(),
        kind: "AuditEvent".into(),
        id: row.id.clone(),
        metadata: metadata(app, &path, resource_name, row.created_at, row.created_at),
        time: Timestamp(row.created_at).to_utc(),
        principal: row.principal.clone(),
        credential_id: row.credential_id.clone(),
        address: row.address.clone(),
        user_agent: row.user_agent.clone(),
        operation_id: row.operation_id.clone(),
        method: row.method.clone(),
        path: row.path.clone(),
        resource_id: row.resource_id.clone(),
        resource_name: row.resource_name.clone(),
        status: u16::try_from(row.status).unwrap_or_default(),
        error_code: row.error_code.clone(),
    }
}
