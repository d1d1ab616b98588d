//! The one row about this installation: the epoch of its config streams, and a check of its root secret.

use super::Transaction;
use super::error::StoreError;
use crate::domain::timestamp::Timestamp;

/// The installation.
pub struct Installation {
    /// Epoch of every config stream; another database has another one.
    pub epoch: u64,
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
    let (epoch, secrets_check): (i64, Vec<u8>) = on!(transaction, connection => {
        sqlx::query_as("SELECT epoch, secrets_check FROM installation WHERE id = 1").fetch_one(connection).await
    })?;
    Ok(Installation { epoch: super::config_log::to_unsigned(epoch), secrets_check })
}
