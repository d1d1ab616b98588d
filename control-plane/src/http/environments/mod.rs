//! `/org/v2/environments`.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod update;

use millstream_api::ids::OrganizationId;
use millstream_api::rest::org::{API_VERSION, Environment};

use super::answers::metadata;
use super::error::ApiError;
use crate::app::App;
use crate::domain::{crn, names};
use crate::store::environments::Environment as Row;
use crate::store::error::StoreError;

fn render(app: &App, organization: OrganizationId, row: &Row) -> Environment {
    let path = format!("/org/v2/environments/{}", row.id);
    Environment {
        api_version: API_VERSION.into(),
        kind: "Environment".into(),
        id: row.id.to_string(),
        metadata: metadata(app, &path, crn::environment(organization, &row.id), row.created_at, row.updated_at),
        display_name: row.display_name.clone(),
    }
}

fn check_name(display_name: &str) -> Result<(), ApiError> {
    names::check_display_name(display_name)
        .map_err(|error| ApiError::bad_request(format!("display_name {error}")).at("/display_name"))
}

fn name_is_taken(error: StoreError) -> ApiError {
    match error {
        StoreError::Duplicate => {
            ApiError::already_exists("an environment with this display_name exists").at("/display_name")
        }
        other => other.into(),
    }
}
