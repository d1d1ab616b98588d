//! Leases: which replica does what only one of them shall do.
//!
//! Promises: a transaction of `Lease::write` commits only as long as nobody else has had the lease since it was taken:
//! it holds the lock of the lease's row, and the epoch in that row grows with every change of holder. A replica that was
//! paused and goes on after another took over therefore writes nothing. Times are those of the database, so that clocks
//! of replicas need not agree.

use sqlx::AssertSqlSafe;

use super::Transaction;
use super::database::Database;
use super::error::StoreError;

/// How long a lease holds after it was last taken, prolonged or written under, in microseconds.
const LEASE_MICROS: i64 = 10_000_000;
/// A lease with less time left than this is prolonged.
const PROLONG_BELOW_MICROS: i64 = 6_000_000;

/// Why work under a lease ended early.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// Another replica has taken over. Nothing was written.
    #[error("another replica has taken over the work {work}")]
    LeaseLost {
        /// The work.
        work: &'static str,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A lease as its holder knows it. Whether it is still in force shows when something is written under it.
#[derive(Debug, Clone)]
pub struct Lease {
    work: &'static str,
    holder: String,
    epoch: i64,
}

impl Lease {
    /// Begins a transaction that writes and sees every organization, if the lease is still in force; prolongs it.
    pub async fn write(&self, database: &Database) -> Result<Transaction, WorkError> {
        let mut transaction = database.write().await?;
        let sql = format!(
            "UPDATE work_leases SET expires_at = {} + $4 WHERE name = $1 AND holder = $2 AND epoch = $3",
            now(&transaction)
        );
        let is_held = on!(&mut transaction, connection => {
            sqlx::query(AssertSqlSafe(sql))
                .bind(self.work).bind(self.holder.as_str()).bind(self.epoch).bind(LEASE_MICROS)
                .execute(connection).await.map(|result| result.rows_affected() > 0)
        })
        .map_err(StoreError::from)?;
        if is_held { Ok(transaction) } else { Err(WorkError::LeaseLost { work: self.work }) }
    }
}

/// Takes the lease of some work, or keeps it. None while another holder has it.
pub async fn take(database: &Database, work: &'static str, holder: &str) -> Result<Option<Lease>, StoreError> {
    match look(database, work, holder).await? {
        Look::Held { epoch } => Ok(Some(Lease { work, holder: holder.to_owned(), epoch })),
        Look::OfAnother => Ok(None),
        Look::ToBeTaken => claim(database, work, holder).await,
    }
}

/// Lets others take over at once what a holder has.
pub async fn release_all(database: &Database, holder: &str) -> Result<(), StoreError> {
    let mut transaction = database.write().await?;
    on!(&mut transaction, connection => {
        sqlx::query("UPDATE work_leases SET expires_at = 0 WHERE holder = $1")
            .bind(holder).execute(connection).await.map(|_| ())
    })?;
    transaction.commit().await
}

/// What a look at a lease shows.
enum Look {
    /// The holder has it, for long enough.
    Held { epoch: i64 },
    /// Another has it.
    OfAnother,
    /// It is free, or the holder's own and must be prolonged.
    ToBeTaken,
}

/// Reads first, so that nothing is written as long as nothing is to be done.
async fn look(database: &Database, work: &str, holder: &str) -> Result<Look, StoreError> {
    let mut transaction = database.read().await?;
    let sql = format!("SELECT holder, epoch, expires_at - {} FROM work_leases WHERE name = $1", now(&transaction));
    let found: Option<(String, i64, i64)> = on!(&mut transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(work).fetch_optional(connection).await
    })?;
    let Some((found_holder, epoch, time_left)) = found else { return Ok(Look::ToBeTaken) };
    let is_own = found_holder == holder;
    Ok(match time_left {
        _ if is_own && time_left >= PROLONG_BELOW_MICROS => Look::Held { epoch },
        _ if is_own || time_left <= 0 => Look::ToBeTaken,
        _ => Look::OfAnother,
    })
}

async fn claim(database: &Database, work: &'static str, holder: &str) -> Result<Option<Lease>, StoreError> {
    let mut transaction = database.write().await?;
    let now = now(&transaction);
    let sql = format!(
        "INSERT INTO work_leases (name, holder, epoch, expires_at) VALUES ($1, $2, 1, {now} + $3) \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at, \
         epoch = work_leases.epoch + CASE WHEN work_leases.holder = excluded.holder THEN 0 ELSE 1 END \
         WHERE work_leases.holder = excluded.holder OR work_leases.expires_at <= {now} RETURNING epoch"
    );
    let epoch: Option<i64> = on!(&mut transaction, connection => {
        sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(work).bind(holder).bind(LEASE_MICROS).fetch_optional(connection).await
    })?;
    transaction.commit().await?;
    Ok(epoch.map(|epoch| Lease { work, holder: holder.to_owned(), epoch }))
}

/// The time of the database, at the statement and not at the begin of its transaction, in microseconds.
fn now(transaction: &Transaction) -> &'static str {
    match transaction {
        Transaction::Sqlite(_) => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        Transaction::Postgres(_) => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::two_replicas::TwoReplicas;

    #[tokio::test]
    async fn a_lease_has_one_holder_until_its_time_is_over_and_each_change_of_holder_is_another_epoch() {
        for replicas in TwoReplicas::on_each_engine().await {
            let TwoReplicas { first, second, .. } = &replicas;
            let one = take(first, "work", "one").await.expect("it is taken").expect("it is free");
            assert!(take(second, "work", "two").await.expect("it is looked at").is_none());
            assert!(take(second, "other work", "two").await.expect("it is taken").is_some());
            let prolonged = take(first, "work", "one").await.expect("it is kept").expect("it is its own");
            assert_eq!(prolonged.epoch, one.epoch);
            replicas.execute("UPDATE work_leases SET expires_at = 0").await;
            let two = take(second, "work", "two").await.expect("it is taken").expect("it is free");
            assert_eq!(two.epoch, one.epoch + 1);
            assert!(take(first, "work", "one").await.expect("it is looked at").is_none());
            release_all(second, "two").await.expect("it is released");
            let again = take(first, "work", "one").await.expect("it is taken").expect("it is free");
            assert_eq!(again.epoch, two.epoch + 1);
        }
    }

    #[tokio::test]
    async fn nobody_takes_over_while_the_holder_writes() {
        for replicas in TwoReplicas::on_each_engine().await {
            let TwoReplicas { first, second, .. } = &replicas;
            let lease = take(first, "work", "one").await.expect("it is taken").expect("it is free");
            replicas.execute("UPDATE work_leases SET expires_at = 0").await;
            let writing = lease.write(first).await.expect("nobody has taken over");
            let commit = async {
                // The other stands in line by now, or comes too late.
                tokio::task::yield_now().await;
                writing.commit().await.expect("it is committed");
            };
            let (taken, ()) = tokio::join!(take(second, "work", "two"), commit);
            assert!(taken.expect("it is looked at").is_none(), "what was written under the lease prolonged it");
        }
    }
}
