//! The two engines behind one type, and the macros that write a statement once for both.
//!
//! Promises: a transaction that is dropped is rolled back; a committed one is on disk (SQLite: `synchronous=FULL`).
//! A second process is kept off a SQLite file by a lock file. Never runs dynamic SQL built from input.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use millstream_api::ids::OrganizationId;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Sqlite, SqlitePool};
use tracing::warn;

use super::error::StoreError;
use super::migrations;
use crate::authentication::OrgScope;

/// Readers of a SQLite file beside its one writer.
const SQLITE_READERS: u32 = 4;
/// Connections of one replica to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 16;
/// How long a request waits for a connection before it is refused.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long SQLite waits for a lock before it gives up.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file, made if it is missing.
    Sqlite(PathBuf),
    /// A PostgreSQL URL, `postgres://user:password@host/database`.
    Postgres(String),
}

impl FromStr for DatabaseUrl {
    type Err = OpenDatabaseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        Err(OpenDatabaseError::UnknownUrl)
    }
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenDatabaseError {
    /// Neither of the two engines.
    #[error("the database URL must begin with sqlite: or postgres://")]
    UnknownUrl,
    /// Another process has the file open.
    #[error("the database {path} is in use by another process: stop it, or choose another data directory")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file or its lock cannot be made.
    #[error("the database {path} cannot be opened: make its directory writable, or choose another data directory")]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database was written by a newer version of this program.
    #[error("the database has schema version {found}, this program knows versions up to {known}: use a newer program")]
    NewerSchema {
        /// Version in the database.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// The database was written by an older version of this program.
    #[error(
        "the database has schema version {found}, this program works with {known}: start the service of this version first"
    )]
    OlderSchema {
        /// Version in the database.
        found: i64,
        /// The version that this program works with.
        known: i64,
    },
    /// The engine refused.
    #[error("the database cannot be opened")]
    Engine(#[source] sqlx::Error),
}

impl From<sqlx::Error> for OpenDatabaseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Engine(error)
    }
}

/// An open database.
pub enum Database {
    /// One writer, so that writers queue in the pool and never meet a busy file; several readers beside it.
    Sqlite {
        /// The one connection that writes.
        writer: SqlitePool,
        /// Connections that only read.
        readers: SqlitePool,
        /// Held until the database is closed; none beside another process that holds it.
        lock: Option<File>,
    },
    /// Shared by any number of replicas.
    Postgres(PgPool),
}

/// A transaction on either engine. Dropped without `commit`, it is rolled back.
pub enum Transaction {
    /// On SQLite.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// On PostgreSQL.
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Database {
    /// Opens the database and brings its schema up to date.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, OpenDatabaseError> {
        let database = match url {
            DatabaseUrl::Sqlite(path) => {
                let lock = lock_file_beside(path)?;
                create_private_file(path)?;
                open_sqlite(path, Some(lock)).await?
            }
            DatabaseUrl::Postgres(url) => open_postgres(url).await?,
        };
        migrations::run(&database).await?;
        Ok(database)
    }

    /// Opens a database that exists and may be in use, for single changes by its operator. Never changes its schema.
    pub async fn open_beside(url: &DatabaseUrl) -> Result<Self, OpenDatabaseError> {
        let database = match url {
            DatabaseUrl::Sqlite(path) => {
                let not_there = |source| OpenDatabaseError::NotWritable { path: path.clone(), source };
                File::options().write(true).open(path).map_err(not_there)?;
                open_sqlite(path, None).await?
            }
            DatabaseUrl::Postgres(url) => open_postgres(url).await?,
        };
        migrations::check_current(&database).await?;
        Ok(database)
    }

    /// Begins a transaction that writes and sees one organization only.
    pub async fn write_for(&self, scope: &OrgScope) -> Result<Transaction, StoreError> {
        self.begin_write(&Sight::of(scope)).await
    }

    /// Begins a transaction that only reads, and sees one organization only: all its statements see the same state of
    /// the database.
    pub async fn read_for(&self, scope: &OrgScope) -> Result<Transaction, StoreError> {
        self.begin_read(&Sight::of(scope)).await
    }

    /// Begins a transaction that writes and sees every organization: for background tasks, and before the caller is
    /// known. Never for a request of a caller.
    pub async fn write(&self) -> Result<Transaction, StoreError> {
        self.begin_write(&Sight::Fleet).await
    }

    /// Begins a transaction that only reads, and sees every organization: for background tasks, and before the caller
    /// is known. All its statements see the same state of the database.
    pub async fn read(&self) -> Result<Transaction, StoreError> {
        self.begin_read(&Sight::Fleet).await
    }

    async fn begin_write(&self, sight: &Sight) -> Result<Transaction, StoreError> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => {
                let begin = format!("BEGIN; {}", sight.statement());
                Transaction::Postgres(pool.begin_with(AssertSqlSafe(begin)).await?)
            }
        })
    }

    async fn begin_read(&self, sight: &Sight) -> Result<Transaction, StoreError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Transaction::Sqlite(readers.begin_with("BEGIN DEFERRED").await?),
            Self::Postgres(pool) => {
                let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}", sight.statement());
                Transaction::Postgres(pool.begin_with(AssertSqlSafe(begin)).await?)
            }
        })
    }

    /// The pool, when other replicas may be at work on the same database.
    pub fn shared_pool(&self) -> Option<&PgPool> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres(pool) => Some(pool),
        }
    }

    /// Closes every connection and gives up the lock.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, lock } => {
                readers.close().await;
                writer.close().await;
                // The lock also ends with the process: a failure here changes nothing.
                if let Some(lock) = lock {
                    let _ = lock.unlock();
                }
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// What row-level security lets a transaction see.
enum Sight {
    /// Every organization.
    Fleet,
    /// One organization.
    Organization(OrganizationId),
}

impl Sight {
    fn of(scope: &OrgScope) -> Self {
        Self::Organization(scope.organization_id())
    }

    /// Sent together with BEGIN, so that it costs no round trip. Ends with the transaction.
    fn statement(&self) -> String {
        // An organization's id prints as a UUID: hexadecimal digits and hyphens.
        match self {
            Self::Fleet => "SET LOCAL millstream.organization_id = '*'".to_owned(),
            Self::Organization(id) => format!("SET LOCAL millstream.organization_id = '{id}'"),
        }
    }
}

impl Transaction {
    /// Lets this transaction see every organization from now on, to count what others have on a physical cluster.
    pub async fn see_fleet(&mut self) -> Result<(), StoreError> {
        self.see(&Sight::Fleet).await
    }

    /// Lets this transaction see one organization only from now on.
    pub async fn see_only(&mut self, scope: &OrgScope) -> Result<(), StoreError> {
        self.see(&Sight::of(scope)).await
    }

    async fn see(&mut self, sight: &Sight) -> Result<(), StoreError> {
        if let Self::Postgres(inner) = self {
            sqlx::query(AssertSqlSafe(sight.statement())).execute(&mut **inner).await?;
        }
        Ok(())
    }

    /// Makes the changes durable and visible.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }

    /// What to put behind a SELECT so that nobody can delete the rows until this transaction ends.
    pub fn keep_rows(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR KEY SHARE",
        }
    }

    /// What to put behind a SELECT so that nobody can change or refer to the rows until this transaction ends.
    pub fn lock_rows(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE",
        }
    }
}

async fn open_sqlite(path: &Path, lock: Option<File>) -> Result<Database, OpenDatabaseError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(SQLITE_BUSY_TIMEOUT);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.clone())
        .await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await?;
    Ok(Database::Sqlite { writer, readers, lock })
}

/// Makes the file for its owner alone, before SQLite would make it for everybody. Its log files take over the mode.
fn create_private_file(path: &Path) -> Result<(), OpenDatabaseError> {
    let opened = File::options().create(true).append(true).mode(0o600).open(path);
    opened.map(|_| ()).map_err(|source| OpenDatabaseError::NotWritable { path: path.to_owned(), source })
}

fn lock_file_beside(path: &Path) -> Result<File, OpenDatabaseError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let not_writable = |source| OpenDatabaseError::NotWritable { path: path.to_owned(), source };
    let lock = File::options().create(true).truncate(false).write(true).open(lock_path).map_err(not_writable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenDatabaseError::Locked { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(not_writable(source)),
    }
}

async fn open_postgres(url: &str) -> Result<Database, OpenDatabaseError> {
    let options = PgConnectOptions::from_str(url)?;
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await?;
    warn_of_passing_walls(&pool).await?;
    Ok(Database::Postgres(pool))
}

/// Row-level security does not hold for every account.
async fn warn_of_passing_walls(pool: &PgPool) -> Result<(), OpenDatabaseError> {
    let sql = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user";
    let passes: Option<bool> = sqlx::query_scalar(sql).fetch_optional(pool).await?;
    if passes == Some(true) {
        warn!(
            "the database account is a superuser or may bypass row-level security, which then is no second wall \
             between organizations: use an account that owns the database and is neither"
        );
    }
    Ok(())
}

/// Runs one statement on whichever engine the transaction is on. The body is written once and compiled twice.
macro_rules! on {
    ($transaction:expr, $connection:ident => $body:expr) => {
        match $transaction {
            $crate::store::Transaction::Sqlite(inner) => {
                let $connection = &mut **inner;
                $body
            }
            $crate::store::Transaction::Postgres(inner) => {
                let $connection = &mut **inner;
                $body
            }
        }
    };
}

/// Reads a row struct on both engines. `parsed` columns are text that the field's type parses.
macro_rules! from_row {
    ($name:ident { plain: [$($plain:ident),* $(,)?], parsed: [$($parsed:ident),* $(,)?], optional: [$($optional:ident),* $(,)?] $(,)? }) => {
        from_row!(@engine sqlx::sqlite::SqliteRow, $name, [$($plain),*], [$($parsed),*], [$($optional),*]);
        from_row!(@engine sqlx::postgres::PgRow, $name, [$($plain),*], [$($parsed),*], [$($optional),*]);
    };
    (@engine $row:ty, $name:ident, [$($plain:ident),*], [$($parsed:ident),*], [$($optional:ident),*]) => {
        impl<'r> sqlx::FromRow<'r, $row> for $name {
            fn from_row(row: &'r $row) -> sqlx::Result<Self> {
                use sqlx::Row as _;
                Ok(Self {
                    $($plain: row.try_get(stringify!($plain))?,)*
                    $($parsed: $crate::store::page::parse_column(row.try_get::<String, _>(stringify!($parsed))?)?,)*
                    $($optional: match row.try_get::<Option<String>, _>(stringify!($optional))? {
                        Some(text) => Some($crate::store::page::parse_column(text)?),
                        None => None,
                    },)*
                })
            }
        }
    };
}
