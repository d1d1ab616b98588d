//! Databases for tests of what lies behind the front door: each engine's, opened twice, as two replicas would.

use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use super::{Database, DatabaseUrl};

#[path = "../../tests/suite/fixture/postgres.rs"]
#[expect(dead_code, reason = "the tests at the front door use more of it")]
mod postgres;

/// One database, as two replicas have it.
pub struct TwoReplicas {
    /// How the first has it.
    pub first: Database,
    /// How the second has it.
    pub second: Database,
    _directory: TempDir,
}

impl TwoReplicas {
    /// New databases, one of each engine that can run here.
    pub async fn on_each_engine() -> Vec<Self> {
        let mut databases = vec![Self::open(|directory| DatabaseUrl::Sqlite(directory.path().join("file"))).await];
        if postgres::is_available() {
            let url = postgres::new_database().await;
            databases.push(Self::open(|_| DatabaseUrl::Postgres(url)).await);
        }
        databases
    }

    async fn open(url: impl FnOnce(&TempDir) -> DatabaseUrl) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = url(&directory);
        let first = Database::open(&url).await.expect("it opens");
        let second = Database::open_beside(&url).await.expect("it opens again");
        Self { first, second, _directory: directory }
    }

    /// Changes the database.
    pub async fn execute(&self, statements: &str) {
        let mut transaction = self.second.write().await.expect("it begins");
        on!(&mut transaction, connection => {
            sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(connection).await.map(|_| ())
        })
        .expect("it runs");
        transaction.commit().await.expect("it is committed");
    }
}
