//! Users. Passwords are stored as argon2id hashes only.

use std::collections::BTreeSet;

use millstream_api::ids::{OrganizationId, UserId};
use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use super::page::{self, Condition, Listing, is_one_of};
use crate::authentication::OrgScope;
use crate::domain::authorization::Visible;
use crate::domain::page::PageRequest;

const SELECT: &str = "SELECT id, email, full_name, password_hash, created_at, updated_at FROM users";

/// A stored user.
pub struct User {
    /// Its id.
    pub id: UserId,
    /// In lower case; empty for none.
    pub email: String,
    /// Name for people.
    pub full_name: String,
    /// Hash of the password; empty for none.
    pub password_hash: String,
    /// When it was created.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

from_row!(User { plain: [email, full_name, password_hash, created_at, updated_at], parsed: [id], optional: [] });

/// Stores a new user. Fails with `Duplicate` if the e-mail address is taken.
pub async fn insert(transaction: &mut Transaction, scope: &OrgScope, user: &User) -> Result<(), StoreError> {
    insert_into_organization(transaction, scope.organization_id(), user).await
}

/// Stores the first user of a new organization, which nobody could be authenticated for yet.
pub async fn insert_into_organization(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    user: &User,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO users (organization_id, id, email, full_name, password_hash, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(organization_id.to_string()).bind(user.id.as_str()).bind(user.email.as_str())
        .bind(user.full_name.as_str()).bind(user.password_hash.as_str()).bind(user.created_at).bind(user.updated_at)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Reads a user.
pub async fn get(transaction: &mut Transaction, scope: &OrgScope, id: &UserId) -> Result<Option<User>, StoreError> {
    get_with(transaction, scope, id, "").await
}

/// Reads a user and keeps it from being deleted until the transaction ends.
pub async fn get_and_keep(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &UserId,
) -> Result<Option<User>, StoreError> {
    let keep_rows = transaction.keep_rows();
    get_with(transaction, scope, id, keep_rows).await
}

/// Reads a user and keeps others from changing or referring to it until the transaction ends.
pub async fn get_and_lock(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &UserId,
) -> Result<Option<User>, StoreError> {
    let lock_rows = transaction.lock_rows();
    get_with(transaction, scope, id, lock_rows).await
}

async fn get_with(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &UserId,
    locking: &'static str,
) -> Result<Option<User>, StoreError> {
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
    visible: &Visible<BTreeSet<UserId>>,
    request: &PageRequest,
) -> Result<Listing<User>, StoreError> {
    let mut condition = Condition::of_organization(scope);
    if let Visible::Only(ids) = visible {
        condition = condition.and_any(vec![is_one_of("id", ids)]);
    }
    page::read(transaction, (SELECT, "users"), &condition, request).await
}

/// Stores what may change: name and password.
pub async fn update(transaction: &mut Transaction, scope: &OrgScope, user: &User) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "UPDATE users SET full_name = $3, password_hash = $4, updated_at = $5 \
             WHERE organization_id = $1 AND id = $2",
        )
        .bind(scope.organization_id().to_string()).bind(user.id.as_str()).bind(user.full_name.as_str())
        .bind(user.password_hash.as_str()).bind(user.updated_at)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Deletes a user. Fails with `BrokenReference` while it owns keys or has roles.
pub async fn delete(transaction: &mut Transaction, scope: &OrgScope, id: &UserId) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("DELETE FROM users WHERE organization_id = $1 AND id = $2")
            .bind(scope.organization_id().to_string()).bind(id.as_str()).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}
