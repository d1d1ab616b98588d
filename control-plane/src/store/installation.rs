//! The one row about this installation: the epoch of its config streams, and a check of its root secret.

use super::Transaction;
use super::error::StoreError;
use crate::domain::timestamp::Timestamp;

/// The installation.
pub struct Installation {
    /// What the root secret must derive to.
    pub secrets_check: Vec<u8>,
}

/// Reads the row; the first start writes it.
pub async fn load_or_create(
    transaction: &mut Transaction,
    new_epoch: u64,
    secrets_check: &[u8],
    now: Timestamp,
) -> Result<Installation, StoreError> {
    let epoch = i64::try_from(new_epoch).unwrap_or(i64::MAX);
    on!(&mut *transaction, connection => {
        sqlx::query(
            "INSERT INTO installation (id, epoch, secrets_check, created_at) VALUES (1, $1, $2, $3) \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(epoch).bind(secrets_check).bind(now.0).execute(connection).await.map(|_| ())
    })?;
    let secrets_check: Vec<u8> = on!(transaction, connection => {
        sqlx::query_scalar("SELECT secrets_check FROM installation WHERE id = 1").fetch_one(connection).await
    })?;
    Ok(Installation { secrets_check })
}

/// The epoch of every config stream: another database, or one restored from a backup, has another one.
pub async fn epoch(transaction: &mut Transaction) -> Result<u64, StoreError> {
    let epoch: i64 = on!(transaction, connection => {
        sqlx::query_scalar("SELECT epoch FROM installation WHERE id = 1").fetch_one(connection).await
    })?;
    Ok(super::config_log::to_unsigned(epoch))
}

/// Begins the next epoch, unless somebody has done so since `ended` was read.
pub async fn begin_epoch_after(transaction: &mut Transaction, ended: u64, now: Timestamp) -> Result<(), StoreError> {
    let ended = i64::try_from(ended).unwrap_or(i64::MAX);
    let next = now.0.max(ended.saturating_add(1));
    on!(transaction, connection => {
        sqlx::query("UPDATE installation SET epoch = $1 WHERE id = 1 AND epoch = $2")
            .bind(next).bind(ended).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}
