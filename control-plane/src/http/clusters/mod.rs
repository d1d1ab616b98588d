//! `/cmk/v2/clusters`.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod update;

use millstream_api::ids::{EnvironmentId, OrganizationId};
use millstream_api::rest::cmk::{API_VERSION, Cluster, ClusterConfig, ClusterSpec, ClusterStatus};
use millstream_api::rest::envelope::ObjectReference;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answers::metadata;
use super::error::ApiError;
use crate::app::App;
use crate::domain::cluster::ClusterError;
use crate::domain::{crn, names};
use crate::store::error::StoreError;
use crate::store::logical_clusters::LogicalCluster as Row;

fn render(app: &App, organization: OrganizationId, row: &Row) -> Result<Cluster, ApiError> {
    let path = format!("/cmk/v2/clusters/{}", row.id);
    let resource_name = crn::cluster(organization, &row.environment_id, &row.id);
    let endpoint = Some(row.kafka_bootstrap_endpoint.clone()).filter(|endpoint| !endpoint.is_empty());
    Ok(Cluster {
        api_version: API_VERSION.into(),
        kind: "Cluster".into(),
        id: row.id.to_string(),
        metadata: metadata(app, &path, resource_name, row.created_at, row.updated_at),
        spec: ClusterSpec {
            display_name: row.display_name.clone(),
            availability: from_text(&row.availability)?,
            cloud: from_text(&row.cloud)?,
            region: row.region.clone(),
            config: ClusterConfig { kind: from_text(&row.kind)? },
            environment: environment_reference(app, organization, &row.environment_id),
            kafka_bootstrap_endpoint: endpoint,
            http_endpoint: Some(app.public_url.clone()),
        },
        status: ClusterStatus { phase: from_text(&row.phase)? },
    })
}

fn environment_reference(app: &App, organization: OrganizationId, id: &EnvironmentId) -> ObjectReference {
    ObjectReference {
        id: id.to_string(),
        related: Some(format!("{}/org/v2/environments/{id}", app.public_url)),
        resource_name: Some(crn::environment(organization, id)),
        api_version: None,
        kind: None,
    }
}

/// The text under which a value is stored: as in JSON.
fn to_text<T: Serialize>(value: &T) -> Result<String, ApiError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        _ => Err(ApiError::internal()),
    }
}

fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    serde_json::from_value(text.into()).map_err(|_| ApiError::internal())
}

fn check_name(display_name: &str) -> Result<(), ApiError> {
    names::check_display_name(display_name)
        .map_err(|error| ApiError::bad_request(format!("spec.display_name {error}")).at("/spec/display_name"))
}

fn name_is_taken(error: StoreError) -> ApiError {
    match error {
        StoreError::Duplicate => {
            let detail = "a cluster with this display_name exists in the environment";
            ApiError::already_exists(detail).at("/spec/display_name")
        }
        other => other.into(),
    }
}

impl From<ClusterError> for ApiError {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::KindNotOffered { .. } => Self::unprocessable(error.to_string()).at("/spec/config/kind"),
            ClusterError::Immutable { field } => {
                Self::bad_request(error.to_string()).at(format!("/{}", field.replace('.', "/")))
            }
        }
    }
}
