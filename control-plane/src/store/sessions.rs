//! Sessions of users who logged in with a password. A token is worth nothing without its row.

use millstream_api::ids::{OrganizationId, UserId};

use super::Transaction;
use super::error::StoreError;
use super::page;
use crate::authentication::OrgScope;
use crate::domain::timestamp::Timestamp;

/// Sessions of one user at most; the oldest ends when another begins.
pub const MAX_SESSIONS_PER_USER: i64 = 100;
/// Users with one e-mail address, in different organizations, that a login without an organization looks at.
pub const MAX_USERS_PER_EMAIL: i64 = 4;

/// A stored session.
pub struct Session {
    /// Its id, which the token names.
    pub id: String,
    /// Whose it is.
    pub user_id: UserId,
    /// When it began.
    pub created_at: i64,
    /// When it ends by itself.
    pub expires_at: i64,
}

/// What a login needs to know of a user.
pub struct Login {
    /// The organization that the user is in.
    pub organization_id: OrganizationId,
    /// The user.
    pub user_id: UserId,
    /// Hash of the password; empty for none.
    pub password_hash: String,
}

/// The users with an e-mail address, oldest first: read before the organization is known.
pub async fn find_logins(
    transaction: &mut Transaction,
    email: &str,
    organization: Option<OrganizationId>,
) -> Result<Vec<Login>, StoreError> {
    let organization = organization.map(|id| id.to_string());
    let rows: Vec<(String, String, String)> = on!(transaction, connection => {
        sqlx::query_as(
            "SELECT organization_id, id, password_hash FROM users WHERE email = $1 AND email <> '' \
             AND (CAST($2 AS TEXT) IS NULL OR organization_id = $2) ORDER BY created_at, id LIMIT $3",
        )
        .bind(email).bind(organization).bind(MAX_USERS_PER_EMAIL).fetch_all(connection).await
    })?;
    let parsed = rows.into_iter().map(|(organization, user, password_hash)| {
        let (organization_id, user_id) = (page::parse_column(organization)?, page::parse_column(user)?);
        Ok(Login { organization_id, user_id, password_hash })
    });
    parsed.collect()
}

/// Stores a new session of a user whose password was just checked. Ends the oldest of too many.
pub async fn begin(transaction: &mut Transaction, login: &Login, session: &Session) -> Result<(), StoreError> {
    let (organization, user) = (login.organization_id.to_string(), login.user_id.as_str());
    on!(&mut *transaction, connection => {
        sqlx::query(
            "DELETE FROM sessions WHERE organization_id = $1 AND user_id = $2 AND id NOT IN (SELECT id FROM sessions \
             WHERE organization_id = $1 AND user_id = $2 ORDER BY created_at DESC, id DESC LIMIT $3)",
        )
        .bind(organization.as_str()).bind(user).bind(MAX_SESSIONS_PER_USER - 1)
        .execute(connection).await.map(|_| ())
    })?;
    on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO sessions (organization_id, id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(organization.as_str()).bind(session.id.as_str()).bind(user)
        .bind(session.created_at).bind(session.expires_at)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Whose session it is, unless it is over: read before the organization is known.
pub async fn find(
    transaction: &mut Transaction,
    id: &str,
    now: Timestamp,
) -> Result<Option<(OrganizationId, UserId)>, StoreError> {
    let row: Option<(String, String)> = on!(transaction, connection => {
        sqlx::query_as("SELECT organization_id, user_id FROM sessions WHERE id = $1 AND expires_at > $2")
            .bind(id).bind(now.0).fetch_optional(connection).await
    })?;
    let Some((organization, user)) = row else { return Ok(None) };
    Ok(Some((page::parse_column(organization)?, page::parse_column(user)?)))
}

/// Ends one session of a user. Says whether it was there.
pub async fn end(transaction: &mut Transaction, scope: &OrgScope, user: &UserId, id: &str) -> Result<bool, StoreError> {
    let ended = on!(transaction, connection => {
        sqlx::query("DELETE FROM sessions WHERE organization_id = $1 AND user_id = $2 AND id = $3")
            .bind(scope.organization_id().to_string()).bind(user.as_str()).bind(id)
            .execute(connection).await.map(|result| result.rows_affected())
    })?;
    Ok(ended > 0)
}

/// Ends every session of a user.
pub async fn end_all(transaction: &mut Transaction, scope: &OrgScope, user: &UserId) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("DELETE FROM sessions WHERE organization_id = $1 AND user_id = $2")
            .bind(scope.organization_id().to_string()).bind(user.as_str()).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Forgets sessions that are over.
pub async fn clean_up(transaction: &mut Transaction, now: Timestamp) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("DELETE FROM sessions WHERE expires_at < $1")
            .bind(now.0).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}
