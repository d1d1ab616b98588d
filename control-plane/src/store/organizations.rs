//! Organizations.

use millstream_api::ids::OrganizationId;

use super::Transaction;
use super::error::StoreError;
use crate::authentication::OrgScope;
use crate::domain::timestamp::Timestamp;

/// A stored organization.
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Name for people.
    pub display_name: String,
    /// When it was created.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

from_row!(Organization { plain: [display_name, created_at, updated_at], parsed: [id], optional: [] });

/// Reads the caller's organization.
pub async fn get(transaction: &mut Transaction, scope: &OrgScope) -> Result<Option<Organization>, StoreError> {
    let row = on!(transaction, connection => {
        sqlx::query_as("SELECT id, display_name, created_at, updated_at FROM organizations WHERE id = $1")
            .bind(scope.organization_id().to_string()).fetch_optional(connection).await
    })?;
    Ok(row)
}

/// Puts this transaction in line with every other one that places a cluster of the organization or changes who may do
/// what in it: without it, a cluster and a role binding made at the same time could miss each other, and the brokers of
/// that cluster would never learn of the binding.
///
/// Called before any other row is read or locked, so that two transactions never wait for each other. Transactions that
/// lock several organizations do so in the order of their ids. Does nothing on SQLite, which has one writer anyway.
pub async fn lock(transaction: &mut Transaction, organization_id: OrganizationId) -> Result<(), StoreError> {
    if let Transaction::Postgres(inner) = transaction {
        // Not FOR UPDATE: that would also hold up every row that only refers to the organization.
        sqlx::query("SELECT id FROM organizations WHERE id = $1 FOR NO KEY UPDATE")
            .bind(organization_id.to_string())
            .execute(&mut **inner)
            .await?;
    }
    Ok(())
}

/// Stores a new organization. There is no caller yet, hence no scope.
pub async fn insert(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    display_name: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("INSERT INTO organizations (id, display_name, created_at, updated_at) VALUES ($1, $2, $3, $3)")
            .bind(organization_id.to_string()).bind(display_name).bind(now.0).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}
