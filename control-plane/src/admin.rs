//! What the operator of an installation does at the database itself, also while the service runs.
//!
//! Whoever can write to the database is the operator: there is no other credential for this, and no way to it by HTTP.

use millstream_api::ids::OrganizationId;

use crate::domain::quota::{self, QuotaScope};
use crate::store::error::StoreError;
use crate::store::{Database, DatabaseUrl, OpenDatabaseError, quotas};

/// A limit to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaChange {
    /// Whose limit.
    pub organization: OrganizationId,
    /// Which quota, by its code.
    pub code: String,
    /// For which environment, cluster, service account or user; none for each of them, or for the organization itself.
    pub object: Option<String>,
    /// The limit; none puts the default back.
    pub limit: Option<u32>,
}

/// Why a limit was not set.
#[derive(Debug, thiserror::Error)]
pub enum SetQuotaError {
    /// No such quota.
    #[error("there is no quota {code:?}: use one of {}", codes())]
    UnknownCode {
        /// What was asked for.
        code: String,
    },
    /// A quota of the organization has no other objects.
    #[error("the quota {code} belongs to the organization: leave the object out")]
    NoObject {
        /// The quota.
        code: &'static str,
    },
    /// No such organization.
    #[error("there is no organization {0}")]
    UnknownOrganization(OrganizationId),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] OpenDatabaseError),
    /// The database failed. Nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn codes() -> String {
    let codes: Vec<&str> = quota::ALL.into_iter().map(|definition| definition.code).collect();
    codes.join(", ")
}

/// Sets the limit of a quota. The running service goes by it from its next request on.
pub async fn set_quota(database: &DatabaseUrl, change: &QuotaChange) -> Result<(), SetQuotaError> {
    let definition = quota::ALL.into_iter().find(|definition| definition.code == change.code);
    let definition = definition.ok_or_else(|| SetQuotaError::UnknownCode { code: change.code.clone() })?;
    if definition.scope == QuotaScope::Organization && change.object.is_some() {
        return Err(SetQuotaError::NoObject { code: definition.code });
    }
    let object = change.object.as_deref().unwrap_or_default();
    let database = Database::open_beside(database).await?;
    let mut transaction = database.write().await?;
    let limit = change.limit.map(i64::from);
    let known = quotas::set_limit(&mut transaction, change.organization, definition, object, limit).await?;
    if !known {
        return Err(SetQuotaError::UnknownOrganization(change.organization));
    }
    transaction.commit().await?;
    database.close().await;
    Ok(())
}
