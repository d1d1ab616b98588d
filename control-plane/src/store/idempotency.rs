//! Idempotency keys: which object a POST made, so that its repetition finds it again.
//!
//! Promises: the row is written in the transaction of the object. Keys are stored as hashes, never as sent.

use super::Transaction;
use super::error::StoreError;
use crate::authentication::OrgScope;
use crate::domain::timestamp::Timestamp;

/// How long a key is remembered, in microseconds: 24 hours.
const REMEMBERED_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// A remembered POST.
pub struct Remembered {
    /// Hash of path and body.
    pub request_hash: Vec<u8>,
    /// Id of the object that was made.
    pub created_id: String,
}

/// Looks a key up.
pub async fn find(
    transaction: &mut Transaction,
    scope: &OrgScope,
    principal: &str,
    key_hash: &str,
) -> Result<Option<Remembered>, StoreError> {
    let row: Option<(Vec<u8>, String)> = on!(transaction, connection => {
        sqlx::query_as(
            "SELECT request_hash, created_id FROM idempotency_keys \
             WHERE organization_id = $1 AND principal = $2 AND idempotency_key = $3",
        )
        .bind(scope.organization_id().to_string()).bind(principal).bind(key_hash).fetch_optional(connection).await
    })?;
    Ok(row.map(|(request_hash, created_id)| Remembered { request_hash, created_id }))
}

/// Remembers a key. Fails with `Duplicate` if it is known already.
pub async fn remember(
    transaction: &mut Transaction,
    scope: &OrgScope,
    principal: &str,
    key_hash: &str,
    remembered: &Remembered,
    now: Timestamp,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO idempotency_keys (organization_id, principal, idempotency_key, request_hash, created_id, \
             created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(scope.organization_id().to_string()).bind(principal).bind(key_hash)
        .bind(remembered.request_hash.as_slice()).bind(remembered.created_id.as_str()).bind(now.0)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Forgets what is too old.
pub async fn clean_up(transaction: &mut Transaction, now: Timestamp) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("DELETE FROM idempotency_keys WHERE created_at < $1")
            .bind(now.0 - REMEMBERED_MICROS).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}
