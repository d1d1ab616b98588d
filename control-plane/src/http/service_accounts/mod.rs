//! `/iam/v2/service-accounts`.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod update;

use millstream_api::ids::OrganizationId;
use millstream_api::rest::iam::{API_VERSION, ServiceAccount};

use super::answers::metadata;
use super::error::ApiError;
use crate::app::App;
use crate::domain::{crn, names};
use crate::store::error::StoreError;
use crate::store::service_accounts::ServiceAccount as Row;

fn render(app: &App, organization: OrganizationId, row: &Row) -> ServiceAccount {
    let path = format!("/iam/v2/service-accounts/{}", row.id);
    ServiceAccount {
        api_version: API_VERSION.into(),
        kind: "ServiceAccount".into(),
        id: row.id.to_string(),
        metadata: metadata(app, &path, crn::service_account(organization, &row.id), row.created_at, row.updated_at),
        display_name: row.display_name.clone(),
        description: row.description.clone(),
    }
}

fn check_texts(display_name: &str, description: &str) -> Result<(), ApiError> {
    names::check_display_name(display_name)
        .map_err(|error| ApiError::bad_request(format!("display_name {error}")).at("/display_name"))?;
    names::check_description(description)
        .map_err(|error| ApiError::bad_request(format!("description {error}")).at("/description"))
}

fn name_is_taken(error: StoreError) -> ApiError {
    match error {
        StoreError::Duplicate => {
            ApiError::already_exists("a service account with this display_name exists").at("/display_name")
        }
        other => other.into(),
    }
}
