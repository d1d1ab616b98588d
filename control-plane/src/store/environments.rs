//! Environments.

use std::collections::BTreeSet;

use millstream_api::ids::EnvironmentId;
use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use super::page::{self, Condition, Listing, is_one_of};
use crate::authentication::OrgScope;
use crate::domain::authorization::Visible;
use crate::domain::page::PageRequest;
use crate::domain::timestamp::Timestamp;

const SELECT: &str = "SELECT id, display_name, created_at, updated_at FROM environments";

/// A stored environment.
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// Name for people.
    pub display_name: String,
    /// When it was created.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

from_row!(Environment { plain: [display_name, created_at, updated_at], parsed: [id], optional: [] });

/// Stores a new environment.
pub async fn insert(
    transaction: &mut Transaction,
    scope: &OrgScope,
    environment: &Environment,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO environments (organization_id, id, display_name, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(scope.organization_id().to_string()).bind(environment.id.as_str()).bind(environment.display_name.as_str())
        .bind(environment.created_at).bind(environment.updated_at)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Reads an environment.
pub async fn get(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &EnvironmentId,
) -> Result<Option<Environment>, StoreError> {
    get_with(transaction, scope, id, "").await
}

/// Reads an environment and keeps it from being deleted until the transaction ends.
pub async fn get_and_keep(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &EnvironmentId,
) -> Result<Option<Environment>, StoreError> {
    let keep_rows = transaction.keep_rows();
    get_with(transaction, scope, id, keep_rows).await
}

/// Reads an environment and keeps others from changing or referring to it until the transaction ends.
pub async fn get_and_lock(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &EnvironmentId,
) -> Result<Option<Environment>, StoreError> {
    let lock_rows = transaction.lock_rows();
    get_with(transaction, scope, id, lock_rows).await
}

async fn get_with(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &EnvironmentId,
    locking: &'static str,
) -> Result<Option<Environment>, StoreError> {
    let sql = format!("{SELECT} WHERE organization_id = $1 AND id = $2{locking}");
    let row = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(scope.organization_id().to_string()).bind(id.as_str()).fetch_optional(connection).await
    })?;
    Ok(row)
}

/// Reads one page of those that the caller sees.
pub async fn list(
    transaction: &mut Transaction,
    scope: &OrgScope,
    visible: &Visible<BTreeSet<EnvironmentId>>,
    request: &PageRequest,
) -> Result<Listing<Environment>, StoreError> {
    let mut condition = Condition::of_organization(scope);
    if let Visible::Only(ids) = visible {
        condition = condition.and_any(vec![is_one_of("id", ids)]);
    }
    page::read(transaction, (SELECT, "environments"), &condition, request).await
}

/// Gives an environment another name.
pub async fn rename(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &EnvironmentId,
    display_name: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("UPDATE environments SET display_name = $3, updated_at = $4 WHERE organization_id = $1 AND id = $2")
            .bind(scope.organization_id().to_string()).bind(id.as_str()).bind(display_name).bind(now.0)
            .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Deletes an environment. Fails with `BrokenReference` while it has clusters.
pub async fn delete(transaction: &mut Transaction, scope: &OrgScope, id: &EnvironmentId) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("DELETE FROM environments WHERE organization_id = $1 AND id = $2")
            .bind(scope.organization_id().to_string()).bind(id.as_str()).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}
