//! `/kafka-quotas/v1/client-quotas`.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod update;

use millstream_api::ids::{EnvironmentId, LogicalClusterId, OrganizationId};
use millstream_api::rest::cmk;
use millstream_api::rest::envelope::{ObjectReference, ReferenceInput};
use millstream_api::rest::iam;
use millstream_api::rest::kafka_quotas::{API_VERSION, ClientQuota, ClientQuotaSpec, Throughput};

use super::answers::metadata;
use super::caller::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::domain::client_quota::{ClientQuotaError, Principal, parse_principals, parse_rate};
use crate::domain::{crn, names};
use crate::store::client_quotas::{self, ClientQuota as Row, Principals};
use crate::store::{Transaction, service_accounts};

fn render(app: &App, organization: OrganizationId, row: &Row) -> ClientQuota {
    let path = format!("/kafka-quotas/v1/client-quotas/{}", row.id);
    ClientQuota {
        api_version: API_VERSION.into(),
        kind: "ClientQuota".into(),
        id: row.id.to_string(),
        metadata: metadata(app, &path, crn::client_quota(organization, &row.id), row.created_at, row.updated_at),
        spec: ClientQuotaSpec {
            display_name: row.display_name.clone(),
            description: row.description.clone(),
            throughput: Throughput {
                ingress_byte_rate: row.ingress_byte_rate.to_string(),
                egress_byte_rate: row.egress_byte_rate.to_string(),
            },
            cluster: cluster_reference(app, organization, &row.environment_id, &row.cluster_id),
            principals: row.principals.0.iter().map(|principal| reference(app, organization, principal)).collect(),
            environment: environment_reference(app, organization, &row.environment_id),
        },
    }
}

fn cluster_reference(
    app: &App,
    organization: OrganizationId,
    environment: &EnvironmentId,
    id: &LogicalClusterId,
) -> ObjectReference {
    ObjectReference {
        id: id.to_string(),
        related: Some(format!("{}/cmk/v2/clusters/{id}", app.public_url)),
        resource_name: Some(crn::cluster(organization, environment, id)),
        api_version: Some(cmk::API_VERSION.into()),
        kind: Some("Cluster".into()),
    }
}

fn environment_reference(app: &App, organization: OrganizationId, id: &EnvironmentId) -> ObjectReference {
    ObjectReference {
        id: id.to_string(),
        related: Some(format!("{}/org/v2/environments/{id}", app.public_url)),
        resource_name: Some(crn::environment(organization, id)),
        ..ObjectReference::default()
    }
}

fn reference(app: &App, organization: OrganizationId, principal: &Principal) -> ObjectReference {
    let Principal::ServiceAccount(id) = principal else {
        return ObjectReference { id: principal.id().to_owned(), ..ObjectReference::default() };
    };
    ObjectReference {
        id: id.to_string(),
        related: Some(format!("{}/iam/v2/service-accounts/{id}", app.public_url)),
        resource_name: Some(crn::service_account(organization, id)),
        api_version: Some(iam::API_VERSION.into()),
        kind: Some("ServiceAccount".into()),
    }
}

fn check_texts(display_name: &str, description: &str) -> Result<(), ApiError> {
    names::check_display_name(display_name)
        .map_err(|error| ApiError::bad_request(format!("spec.display_name {error}")).at("/spec/display_name"))?;
    names::check_description(description)
        .map_err(|error| ApiError::bad_request(format!("spec.description {error}")).at("/spec/description"))
}

/// Bytes per second in and out.
fn parse_throughput(throughput: &Throughput) -> Result<(i64, i64), ApiError> {
    let ingress = parse_rate("spec.throughput.ingress_byte_rate", &throughput.ingress_byte_rate)?;
    let egress = parse_rate("spec.throughput.egress_byte_rate", &throughput.egress_byte_rate)?;
    Ok((ingress, egress))
}

fn parse_references(references: &[ReferenceInput]) -> Result<Principals, ApiError> {
    Ok(Principals(parse_principals(references.iter().map(|reference| reference.id.as_str()))?))
}

/// Checks that principals exist and have no other quota in the cluster. Those in `known` may have been deleted since.
async fn check_principals(
    transaction: &mut Transaction,
    caller: &Caller,
    row: &Row,
    known: &[Principal],
) -> Result<(), ApiError> {
    let taken = client_quotas::principals_of_others(transaction, &caller.scope, row).await?;
    for (number, principal) in row.principals.0.iter().enumerate() {
        let pointer = format!("/spec/principals/{number}/id");
        if taken.iter().any(|id| id == principal.id()) {
            let detail = format!("{} has another client quota in the cluster: change that one", principal.id());
            return Err(ApiError::already_exists(detail).at(pointer));
        }
        let Principal::ServiceAccount(id) = principal else { continue };
        if known.contains(principal) {
            continue;
        }
        let account = service_accounts::get(transaction, &caller.scope, id).await?;
        account.ok_or_else(|| ApiError::not_found().at(pointer))?;
    }
    Ok(())
}

impl From<ClientQuotaError> for ApiError {
    fn from(error: ClientQuotaError) -> Self {
        let pointer = match error {
            ClientQuotaError::NumberOfPrincipals => "/spec/principals".to_owned(),
            ClientQuotaError::Principal(number) | ClientQuotaError::Repeated(number) => {
                format!("/spec/principals/{number}/id")
            }
            ClientQuotaError::Rate { field } => format!("/{}", field.replace('.', "/")),
        };
        Self::bad_request(error.to_string()).at(pointer)
    }
}
