//! `/iam/v2/api-keys`.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod update;

use millstream_api::ids::OrganizationId;
use millstream_api::rest::cmk;
use millstream_api::rest::envelope::ObjectReference;
use millstream_api::rest::iam::{API_VERSION, ApiKey, ApiKeySpec, CLOUD_RESOURCE_ID, CLOUD_RESOURCE_KIND, Secret};

use super::answers::metadata;
use super::caller::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::{crn, names};
use crate::store::api_keys::ApiKey as Row;

/// Fails unless the caller may do this to a key.
fn authorize(caller: &Caller, action: Action, row: &Row) -> Result<(), ApiError> {
    let owner = row.owner().ok_or_else(ApiError::internal)?;
    let cluster = row.environment_id.as_ref().zip(row.cluster_id.as_ref());
    caller.authorize(action, Target::ApiKey(&owner, cluster))
}

fn render(app: &App, organization: OrganizationId, row: &Row, secret: Option<Secret>) -> ApiKey {
    let path = format!("/iam/v2/api-keys/{}", row.id);
    ApiKey {
        api_version: API_VERSION.into(),
        kind: "ApiKey".into(),
        id: row.id.to_string(),
        metadata: metadata(app, &path, crn::api_key(organization, &row.id), row.created_at, row.updated_at),
        spec: ApiKeySpec {
            secret,
            display_name: row.display_name.clone(),
            description: row.description.clone(),
            owner: owner_reference(app, organization, row),
            resource: resource_reference(app, organization, row),
        },
        status: None,
    }
}

fn owner_reference(app: &App, organization: OrganizationId, row: &Row) -> ObjectReference {
    let (id, kind, path, resource_name) = match (&row.owner_service_account_id, &row.owner_user_id) {
        (Some(id), _) => (id.to_string(), "ServiceAccount", "service-accounts", crn::service_account(organization, id)),
        (None, Some(id)) => (id.to_string(), "User", "users", crn::user(organization, id)),
        (None, None) => return ObjectReference::default(),
    };
    ObjectReference {
        related: Some(format!("{}/iam/v2/{path}/{id}", app.public_url)),
        id,
        resource_name: Some(resource_name),
        api_version: Some(API_VERSION.into()),
        kind: Some(kind.into()),
    }
}

fn resource_reference(app: &App, organization: OrganizationId, row: &Row) -> ObjectReference {
    let (Some(cluster), Some(environment)) = (&row.cluster_id, &row.environment_id) else {
        return ObjectReference {
            id: CLOUD_RESOURCE_ID.into(),
            resource_name: Some(crn::organization(organization)),
            kind: Some(CLOUD_RESOURCE_KIND.into()),
            ..ObjectReference::default()
        };
    };
    ObjectReference {
        id: cluster.to_string(),
        related: Some(format!("{}/cmk/v2/clusters/{cluster}?environment={environment}", app.public_url)),
        resource_name: Some(crn::cluster(organization, environment, cluster)),
        api_version: Some(cmk::API_VERSION.into()),
        kind: Some("Cluster".into()),
    }
}

/// Unlike other names, that of a key may be empty.
fn check_texts(display_name: &str, description: &str) -> Result<(), ApiError> {
    if !display_name.is_empty() {
        names::check_display_name(display_name)
            .map_err(|error| ApiError::bad_request(format!("spec.display_name {error}")).at("/spec/display_name"))?;
    }
    names::check_description(description)
        .map_err(|error| ApiError::bad_request(format!("spec.description {error}")).at("/spec/description"))
}
