//! `/service-quota/v1/scopes`: what quotas can belong to.

pub mod get;
pub mod list;

use millstream_api::ids::OrganizationId;
use millstream_api::rest::envelope::ObjectMetadata;
use millstream_api::rest::service_quota::{API_VERSION, Scope};

use crate::app::App;
use crate::domain::crn;
use crate::domain::quota::QuotaScope;

fn render(app: &App, organization: OrganizationId, scope: QuotaScope) -> Scope {
    let id = scope.as_str();
    Scope {
        api_version: API_VERSION.into(),
        kind: "Scope".into(),
        id: id.into(),
        metadata: ObjectMetadata {
            self_url: format!("{}/service-quota/v1/scopes/{id}", app.public_url),
            resource_name: Some(format!("{}/scope={id}", crn::organization(organization))),
            created_at: None,
            updated_at: None,
        },
        description: format!("{id} scope that quotas would be applied to"),
    }
}
