//! Service accounts.

use std::collections::BTreeSet;

use millstream_api::ids::ServiceAccountId;
use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use super::page::{self, Condition, Listing, is_one_of};
use crate::authentication::OrgScope;
use crate::domain::authorization::Visible;
use crate::domain::page::PageRequest;
use crate::domain::timestamp::Timestamp;

const SELECT: &str = "SELECT id, display_name, description, created_at, updated_at FROM service_accounts";

/// A stored service account.
pub struct ServiceAccount {
    /// Its id.
    pub id: ServiceAccountId,
    /// Name for people.
    pub display_name: String,
    /// Free text.
    pub description: String,
    /// When it was created.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

from_row!(ServiceAccount { plain: [display_name, description, created_at, updated_at], parsed: [id], optional: [] });

/// Stores a new service account.
pub async fn insert(
    transaction: &mut Transaction,
    scope: &OrgScope,
    account: &ServiceAccount,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO service_accounts (organization_id, id, display_name, description, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(scope.organization_id().to_string()).bind(account.id.as_str()).bind(account.display_name.as_str())
        .bind(account.description.as_str()).bind(account.created_at).bind(account.updated_at)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Reads a service account.
pub async fn get(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &ServiceAccountId,
) -> Result<Option<ServiceAccount>, StoreError> {
    get_with(transaction, scope, id, "").await
}

/// Reads a service account and keeps it from being deleted until the transaction ends.
pub async fn get_and_keep(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &ServiceAccountId,
) -> Result<Option<ServiceAccount>, StoreError> {
    let keep_rows = transaction.keep_rows();
    get_with(transaction, scope, id, keep_rows).await
}

/// Reads a service account and keeps others from changing or referring to it until the transaction ends.
pub async fn get_and_lock(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &ServiceAccountId,
) -> Result<Option<ServiceAccount>, StoreError> {
    let lock_rows = transaction.lock_rows();
    get_with(transaction, scope, id, lock_rows).await
}

async fn get_with(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &ServiceAccountId,
    locking: &'static str,
) -> Result<Option<ServiceAccount>, StoreError> {
    let sql = format!("{SELECT} WHERE organization_id = $1 AND id = $2{locking}");
    let row = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(scope.organization_id().to_string()).bind(id.as_str()).fetch_optional(connection).await
    })?;
    Ok(row)
}

/// Reads one page of those that the caller sees: without names, all of them; else those with one of the names.
pub async fn list(
    transaction: &mut Transaction,
    scope: &OrgScope,
    visible: &Visible<BTreeSet<ServiceAccountId>>,
    display_names: &[String],
    request: &PageRequest,
) -> Result<Listing<ServiceAccount>, StoreError> {
    let mut condition = Condition::of_organization(scope);
    if let Visible::Only(ids) = visible {
        condition = condition.and_any(vec![is_one_of("id", ids)]);
    }
    if !display_names.is_empty() {
        condition = condition.and_any(vec![is_one_of("display_name", display_names)]);
    }
    page::read(transaction, (SELECT, "service_accounts"), &condition, request).await
}

/// Changes name and description.
pub async fn update(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &ServiceAccountId,
    display_name: &str,
    description: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "UPDATE service_accounts SET display_name = $3, description = $4, updated_at = $5 \
             WHERE organization_id = $1 AND id = $2",
        )
        .bind(scope.organization_id().to_string()).bind(id.as_str()).bind(display_name).bind(description).bind(now.0)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Deletes a service account. Fails with `BrokenReference` while it owns keys.
pub async fn delete(transaction: &mut Transaction, scope: &OrgScope, id: &ServiceAccountId) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("DELETE FROM service_accounts WHERE organization_id = $1 AND id = $2")
            .bind(scope.organization_id().to_string()).bind(id.as_str()).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}
