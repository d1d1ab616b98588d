//! What can go wrong in the store, told apart as far as callers act on it.

/// Codes of failures that pass: SQLite busy (5), locked (6), input/output error (10) and full (13); PostgreSQL
/// serialization failure, deadlock, too many connections, disk full, shutting down, starting up, accepting no
/// connections.
const TEMPORARY_CODES: &[&str] =
    &["5", "6", "10", "13", "517", "40001", "40P01", "53300", "53100", "57P01", "57P02", "57P03", "55000"];

/// Why a statement or a transaction failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another row has the same unique value.
    #[error("a row with the same unique value exists")]
    Duplicate,
    /// A row that this one refers to does not exist, or is referred to and cannot go.
    #[error("a reference between rows would be broken")]
    BrokenReference,
    /// The database cannot be reached or is too busy. Nothing was stored unless the commit itself failed.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// Anything else: a bug or a damaged database.
    #[error("the database refused a statement")]
    Failed(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        let kind = error.as_database_error().map(|database| database.kind());
        let code = error.as_database_error().and_then(|database| database.code());
        let is_temporary = code.is_some_and(|code| TEMPORARY_CODES.contains(&code.as_ref()));
        match (kind, &error) {
            _ if is_temporary => Self::Unavailable(error),
            (Some(ErrorKind::UniqueViolation), _) => Self::Duplicate,
            (Some(ErrorKind::ForeignKeyViolation), _) => Self::BrokenReference,
            (
                _,
                sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed,
            ) => Self::Unavailable(error),
            _ => Self::Failed(error),
        }
    }
}
