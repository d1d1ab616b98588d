//! The schema, version by version. The same text runs on both engines where it can.
//!
//! Promises: each version is applied once, in order, in a transaction with its version number; replicas that start at
//! the same time wait for each other. Refuses a database of a newer version and changes nothing in it.

use std::cmp::Ordering;

use sqlx::AssertSqlSafe;

use super::database::{Database, OpenDatabaseError, Transaction};
use super::error::StoreError;

/// One step of the schema.
struct Migration {
    sqlite: &'static str,
    postgres: &'static str,
}

/// A step whose text is the same on both engines.
const fn both(text: &'static str) -> Migration {
    Migration { sqlite: text, postgres: text }
}

/// Every version of the schema, the first being version 1.
const MIGRATIONS: &[Migration] = &[
    both(include_str!("../../migrations/0001_first.sql")),
    both(include_str!("../../migrations/0002_role_bindings.sql")),
    both(include_str!("../../migrations/0003_cluster_sizes.sql")),
    both(include_str!("../../migrations/0004_role_bindings_as_sent.sql")),
    both(include_str!("../../migrations/0005_audit_events.sql")),
    both(include_str!("../../migrations/0006_quotas.sql")),
    Migration {
        sqlite: include_str!("../../migrations/0007_dedicated_clusters.sqlite.sql"),
        postgres: include_str!("../../migrations/0007_dedicated_clusters.postgres.sql"),
    },
    both(include_str!("../../migrations/0008_client_quotas.sql")),
    both(include_str!("../../migrations/0009_recent_posts.sql")),
    both(include_str!("../../migrations/0010_reservations.sql")),
    both(include_str!("../../migrations/0011_users.sql")),
    // SQLite has one process, one connection that writes, and no such walls.
    Migration { sqlite: "", postgres: include_str!("../../migrations/0012_row_security.postgres.sql") },
    both(include_str!("../../migrations/0013_principals_on_brokers.sql")),
    Migration {
        sqlite: include_str!("../../migrations/0014_propagation.sql"),
        postgres: concat!(
            include_str!("../../migrations/0014_propagation.sql"),
            include_str!("../../migrations/0014_propagation.postgres.sql")
        ),
    },
    both(include_str!("../../migrations/0015_agent_boots.sql")),
    both(include_str!("../../migrations/0016_work_leases.sql")),
    both(include_str!("../../migrations/0017_more_shared_physical_clusters.sql")),
];

/// Number of the advisory lock that keeps replicas from migrating at the same time.
const ADVISORY_LOCK: i64 = 0x6d69_6c6c_7374;

/// The newest version that this program knows.
pub fn newest_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("a handful of migrations")
}

/// Brings the schema up to date.
pub async fn run(database: &Database) -> Result<(), OpenDatabaseError> {
    // SQLite changes a constraint by making the table anew, during which nothing may refer to it.
    set_sqlite_foreign_keys(database, "OFF").await?;
    let migrated = migrate(database).await;
    set_sqlite_foreign_keys(database, "ON").await?;
    migrated
}

async fn set_sqlite_foreign_keys(database: &Database, mode: &'static str) -> Result<(), OpenDatabaseError> {
    if let Database::Sqlite { writer, .. } = database {
        sqlx::query(AssertSqlSafe(format!("PRAGMA foreign_keys = {mode}"))).execute(writer).await?;
    }
    Ok(())
}

async fn migrate(database: &Database) -> Result<(), OpenDatabaseError> {
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
    for (version, migration) in (1_i64..).zip(MIGRATIONS) {
        if version <= found {
            continue;
        }
        let sql = match &transaction {
            Transaction::Sqlite(_) => migration.sqlite,
            Transaction::Postgres(_) => migration.postgres,
        };
        on!(&mut transaction, connection => sqlx::raw_sql(sql).execute(connection).await.map(|_| ()))?;
        on!(&mut transaction, connection => {
            sqlx::query("INSERT INTO schema_versions (version) VALUES ($1)")
                .bind(version).execute(connection).await.map(|_| ())
        })?;
    }
    check_sqlite_references(&mut transaction).await?;
    transaction.commit().await.map_err(engine_error)
}

/// Refuses a database of any other version than the newest, and changes nothing in it.
pub async fn check_current(database: &Database) -> Result<(), OpenDatabaseError> {
    let mut transaction = database.read().await.map_err(engine_error)?;
    let found: i64 = on!(&mut transaction, connection => {
        sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM schema_versions").fetch_one(connection).await
    })?;
    match found.cmp(&newest_version()) {
        Ordering::Less => Err(OpenDatabaseError::OlderSchema { found, known: newest_version() }),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(OpenDatabaseError::NewerSchema { found, known: newest_version() }),
    }
}

async fn check_sqlite_references(transaction: &mut Transaction) -> Result<(), OpenDatabaseError> {
    let Transaction::Sqlite(inner) = transaction else { return Ok(()) };
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut **inner).await?;
    match broken {
        None => Ok(()),
        Some(_) => Err(engine_error(StoreError::BrokenReference)),
    }
}

fn engine_error(error: StoreError) -> OpenDatabaseError {
    match error {
        StoreError::Unavailable(source) | StoreError::Failed(source) => OpenDatabaseError::Engine(source),
        StoreError::Duplicate | StoreError::BrokenReference => {
            OpenDatabaseError::Engine(sqlx::Error::Protocol("a migration violates a constraint".into()))
        }
    }
}
