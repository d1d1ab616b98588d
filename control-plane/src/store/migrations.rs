//! The schema, version by version. The same text runs on both engines.
//!
//! Promises: each version is applied once, in order, in a transaction with its version number; replicas that start at
//! the same time wait for each other. Refuses a database of a newer version and changes nothing in it.

use super::database::{Database, OpenDatabaseError, Transaction};
use super::error::StoreError;

/// Every version of the schema, the first being version 1.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/0001_first.sql")];

/// Number of the advisory lock that keeps replicas from migrating at the same time.
const ADVISORY_LOCK: i64 = 0x6d69_6c6c_7374;

/// The newest version that this program knows.
pub fn newest_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("a handful of migrations")
}

/// Brings the schema up to date.
pub async fn run(database: &Database) -> Result<(), OpenDatabaseError> {
    let mut transaction = database.write().await.map_err(engine_error)?;
    if let Transaction::Postgres(inner) = &mut transaction {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(ADVISORY_LOCK).execute(&mut **inner).await?;
    }
    on!(&mut transaction, connection => {
        sqlx::raw_sql("CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT PRIMARY KEY)")
            .execute(connection).await.map(|_| ())
    })?;
    let found: i64 = on!(&mut transaction, connection => {
        sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM schema_versions").fetch_one(connection).await
    })?;
    if found > newest_version() {
        return Err(OpenDatabaseError::NewerSchema { found, known: newest_version() });
    }
    for (version, sql) in (1_i64..).zip(MIGRATIONS) {
        if version <= found {
            continue;
        }
        on!(&mut transaction, connection => sqlx::raw_sql(*sql).execute(connection).await.map(|_| ()))?;
        on!(&mut transaction, connection => {
            sqlx::query("INSERT INTO schema_versions (version) VALUES ($1)")
                .bind(version).execute(connection).await.map(|_| ())
        })?;
    }
    transaction.commit().await.map_err(engine_error)
}

fn engine_error(error: StoreError) -> OpenDatabaseError {
    match error {
        StoreError::Unavailable(source) | StoreError::Failed(source) => OpenDatabaseError::Engine(source),
        StoreError::Duplicate | StoreError::BrokenReference => {
            OpenDatabaseError::Engine(sqlx::Error::Protocol("a migration violates a constraint".into()))
        }
    }
}
