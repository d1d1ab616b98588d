//! What users do to ACLs: create, list, delete. Used by the Kafka APIs and by HTTP alike.
//!
//! Promises: a change is in the metadata log, and holds on this broker, before it is answered; a tenant has no more
//! ACLs than its plan allows. Decides nothing itself: `millstream_metadata::decide` does. Never decides who may.

use std::sync::Arc;

use millstream_api::ids::LogicalClusterId;
use millstream_metadata::acl::{Acl, AclError, AclFilter};
use millstream_metadata::decide;
use millstream_metadata::raft::{DecideError, ProposeError};
use millstream_protocol::error_code::ErrorCode;
use tracing::info;

use crate::broker::Broker;
use crate::limits;

/// What somebody is told who may not.
pub(crate) const NOT_AUTHORIZED: &str = "Cluster authorization failed.";

/// Why ACLs were not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] AclError),
    /// It could not be written now.
    #[error("the cluster metadata cannot be changed at the moment, try again")]
    Unavailable(#[source] ProposeError),
}

impl From<DecideError<AclError>> for ChangeError {
    fn from(error: DecideError<AclError>) -> Self {
        match error {
            DecideError::Refused(refused) => Self::Refused(refused),
            DecideError::NotWritten(error) => Self::Unavailable(error),
        }
    }
}

impl ChangeError {
    /// Kafka's code for it.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(refused) => code_of(refused),
            Self::Unavailable(_) => ErrorCode::CoordinatorNotAvailable,
        }
    }
}

/// Kafka's code of a refusal.
pub(crate) fn code_of(error: &AclError) -> ErrorCode {
    ErrorCode::from_code(error.kafka_error_code()).unwrap_or(ErrorCode::UnknownServerError)
}

/// Creates those ACLs that are legal. One result per ACL, in their order.
pub(crate) async fn create(
    broker: &Arc<Broker>,
    tenant: &LogicalClusterId,
    acls: Vec<Result<Acl, AclError>>,
) -> Result<Vec<Result<(), AclError>>, ChangeError> {
    let limit = limits::max_acls(&broker.tenants, tenant);
    let owner = tenant.clone();
    let decision = move |image: &_| decide::create_acls(image, &owner, acls, limit);
    let results = broker.metadata.decide(decision).await?;
    let count = results.iter().filter(|result| result.is_ok()).count();
    info!(tenant = %tenant, count, "created {count} ACLs");
    Ok(results)
}

/// Creates all of these ACLs or none.
pub(crate) async fn create_all(
    broker: &Arc<Broker>,
    tenant: &LogicalClusterId,
    acls: Vec<Acl>,
) -> Result<(), ChangeError> {
    let limit = limits::max_acls(&broker.tenants, tenant);
    let owner = tenant.clone();
    let count = acls.len();
    broker.metadata.decide(move |image| decide::create_all_acls(image, &owner, acls, limit)).await?;
    info!(tenant = %tenant, count, "created {count} ACLs");
    Ok(())
}

/// The ACLs that the filter means, in the order of resources.
pub(crate) fn list(broker: &Broker, tenant: &LogicalClusterId, filter: &AclFilter) -> Vec<Acl> {
    let image = broker.metadata.image();
    image.tenant(tenant).map(|tenant| tenant.acls().matching(filter).collect()).unwrap_or_default()
}

/// Deletes the ACLs that the filters mean, and says which each filter meant.
pub(crate) async fn delete(
    broker: &Arc<Broker>,
    tenant: &LogicalClusterId,
    filters: Vec<AclFilter>,
) -> Result<Vec<Vec<Acl>>, ChangeError> {
    let owner = tenant.clone();
    let deleted = broker.metadata.decide(move |image| decide::delete_acls(image, &owner, &filters)).await?;
    let count = deleted.iter().map(Vec::len).sum::<usize>();
    info!(tenant = %tenant, count, "deleted {count} ACLs");
    Ok(deleted)
}
