//! What users do to ACLs: create, list, delete. Used by the Kafka APIs and by HTTP alike.
//!
//! Promises: a change is in the metadata log, and holds on this broker, before it is answered; a tenant has no more
//! ACLs than its plan allows, and none for principals of others. Decides nothing itself: `millstream_metadata::decide` does. Never decides who may.

use std::sync::Arc;
use std::time::Duration;

use millstream_api::ids::LogicalClusterId;
use millstream_metadata::acl::{Acl, AclError, AclFilter, AclPrincipal};
use millstream_metadata::decide;
use millstream_metadata::raft::{DecideError, ProposeError};
use millstream_protocol::error_code::ErrorCode;
use tracing::info;

use crate::broker::Broker;
use crate::limits;

/// How long an ACL waits for its principal to become known.
const MAX_WAIT_FOR_A_PRINCIPAL: Duration = Duration::from_secs(1);

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

/// Refuses ACLs for principals that do not belong to the tenant's organization. One that is not known yet is waited for:
/// the control plane answers the creation of a service account before a slow broker was told of it.
async fn refuse_foreign_principals(broker: &Broker, tenant: &LogicalClusterId, acls: &mut [Result<Acl, AclError>]) {
    let mut changes = broker.tenants.subscribe();
    let is_foreign = |acl: &Result<Acl, AclError>| match acl.as_ref().map(|acl| &acl.entry.principal) {
        Ok(AclPrincipal::One(principal)) => !broker.tenants.has_principal(tenant, principal),
        Ok(AclPrincipal::Everyone) | Err(_) => false,
    };
    let all_known = async {
        while acls.iter().any(is_foreign) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    let _still_foreign = tokio::time::timeout(MAX_WAIT_FOR_A_PRINCIPAL, all_known).await;
    for acl in acls.iter_mut().filter(|acl| is_foreign(acl)) {
        *acl = Err(AclError::foreign_principal());
    }
}

/// Creates those ACLs that are legal. One result per ACL, in their order.
pub(crate) async fn create(
    broker: &Arc<Broker>,
    tenant: &LogicalClusterId,
    mut acls: Vec<Result<Acl, AclError>>,
) -> Result<Vec<Result<(), AclError>>, ChangeError> {
    refuse_foreign_principals(broker, tenant, &mut acls).await;
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
    let mut acls: Vec<Result<Acl, AclError>> = acls.into_iter().map(Ok).collect();
    refuse_foreign_principals(broker, tenant, &mut acls).await;
    let acls = acls.into_iter().collect::<Result<Vec<Acl>, AclError>>()?;
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
