//! `/cmk/v2/clusters`.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
mod partitions;
pub mod update;

use millstream_api::ids::{EnvironmentId, OrganizationId};
use millstream_api::plan;
use millstream_api::rest::cmk::{API_VERSION, Cluster, ClusterConfig, ClusterKind, ClusterSpec, ClusterStatus};
use millstream_api::rest::envelope::ObjectReference;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answers::metadata;
use super::error::ApiError;
use crate::app::App;
use crate::domain::cluster::{ClusterError, Shape};
use crate::domain::{crn, names};
use crate::store::error::StoreError;
use crate::store::logical_clusters::LogicalCluster as Row;

fn render(app: &App, organization: OrganizationId, row: &Row) -> Result<Cluster, ApiError> {
    let path = format!("/cmk/v2/clusters/{}", row.id);
    let resource_name = crn::cluster(organization, &row.environment_id, &row.id);
    let shape = shape_of(row)?;
    let plan = plan::of(shape.kind).ok_or_else(ApiError::internal)?;
    let observed_units = u32::try_from(row.observed_units).ok();
    let cku = observed_units.filter(|units| shape.kind == ClusterKind::Dedicated && *units > 0);
    let message = Some(row.message.clone()).filter(|message| !message.is_empty());
    let endpoint = Some(row.kafka_bootstrap_endpoint.clone()).filter(|endpoint| !endpoint.is_empty());
    let ca_certificate = Some(row.kafka_ca_certificate.clone()).filter(|pem| !pem.is_empty());
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
            config: config(shape),
            deletion_protection: plan.deletion_protection.then_some(shape.deletion_protection),
            environment: environment_reference(app, organization, &row.environment_id),
            kafka_bootstrap_endpoint: endpoint,
            http_endpoint: Some(app.public_url.clone()),
        },
        status: ClusterStatus { phase: row.phase.public(), cku, message, kafka_ca_certificate: ca_certificate },
    })
}

/// What a stored cluster is.
fn shape_of(row: &Row) -> Result<Shape, ApiError> {
    let units = u32::try_from(row.units).map_err(|_| ApiError::internal())?;
    Ok(Shape { kind: from_text(&row.kind)?, units, deletion_protection: row.deletion_protection })
}

fn config(shape: Shape) -> ClusterConfig {
    let units = (shape.units != 0).then_some(shape.units);
    match shape.kind {
        ClusterKind::Dedicated => ClusterConfig { kind: shape.kind, cku: units, max_ecku: None },
        kind => ClusterConfig { kind, cku: None, max_ecku: units },
    }
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
        let refused = match error {
            ClusterError::CkuMissing | ClusterError::Immutable { .. } => Self::bad_request(error.to_string()),
            ClusterError::ResizeUnderWay { .. } => Self::conflict(error.to_string()),
            _ => Self::unprocessable(error.to_string()),
        };
        refused.at(format!("/{}", error.field().replace('.', "/")))
    }
}
