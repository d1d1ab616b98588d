//! What each POST of the last minute made.
//!
//! Promises: the row is written in the transaction of the object; identical requests queue behind each other until
//! their transactions end. Requests are stored as hashes, never as sent.

use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use crate::authentication::OrgScope;
use crate::domain::repetition::{AnswerState, REMEMBERED_MICROS};
use crate::domain::timestamp::Timestamp;

/// The LISTEN/NOTIFY channel on which replicas tell each other that they know what became of answers.
pub const ANSWERS_CHANNEL: &str = "millstream_answers";
/// Rows of one look-up at most.
const MAX_ROWS: i64 = 100;
/// Answers that are settled with one statement at most.
pub const MAX_SETTLED: usize = 256;

/// One POST.
#[derive(Debug, Clone)]
pub struct RecentPost {
    /// Id of the request.
    pub id: String,
    /// Id of the object that it made.
    pub created_id: String,
    /// What the object's secret was derived from; empty once the answer has arrived.
    pub seed: String,
    /// The replica that took it.
    pub replica_id: String,
    /// What became of its answer.
    pub state: AnswerState,
    /// When it was sent.
    pub created_at: i64,
}

from_row!(RecentPost { plain: [id, created_id, seed, replica_id, created_at], parsed: [state], optional: [] });

/// Where the objects of a collection are, for finding out whether one is still as it was made.
#[derive(Debug, Clone, Copy)]
pub struct Objects<'a> {
    /// The table. Never from input.
    pub table: &'static str,
    /// The name that the object was given, if it can be changed.
    pub display_name: Option<&'a str>,
}

/// The earlier requests with the same hash whose objects still exist under their name, oldest first.
pub async fn find(
    transaction: &mut Transaction,
    scope: &OrgScope,
    principal: &str,
    request_hash: &str,
    objects: Objects<'_>,
) -> Result<Vec<RecentPost>, StoreError> {
    let named = objects.display_name.map_or("$5 = ''", |_| "object.display_name = $5");
    let sql = format!(
        "SELECT id, created_id, seed, replica_id, state, created_at FROM recent_posts WHERE organization_id = $1 \
         AND principal = $2 AND request_hash = $3 AND EXISTS (SELECT 1 FROM {} object WHERE \
         object.organization_id = recent_posts.organization_id AND object.id = recent_posts.created_id AND {named}) \
         ORDER BY created_at LIMIT $4",
        objects.table
    );
    let rows = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(scope.organization_id().to_string()).bind(principal).bind(request_hash).bind(MAX_ROWS)
            .bind(objects.display_name.unwrap_or("")).fetch_all(connection).await
    })?;
    Ok(rows)
}

/// Makes identical requests wait for each other. SQLite has one writer at a time anyway.
pub async fn lock(transaction: &mut Transaction, request_hash: &str) -> Result<(), StoreError> {
    if let Transaction::Postgres(inner) = transaction {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(request_hash)
            .execute(&mut **inner)
            .await?;
    }
    Ok(())
}

/// Remembers a request.
pub async fn insert(
    transaction: &mut Transaction,
    scope: &OrgScope,
    principal: &str,
    request_hash: &str,
    post: &RecentPost,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO recent_posts (id, organization_id, principal, request_hash, created_id, seed, replica_id, \
             state, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(post.id.as_str()).bind(scope.organization_id().to_string()).bind(principal).bind(request_hash)
        .bind(post.created_id.as_str()).bind(post.seed.as_str()).bind(post.replica_id.as_str())
        .bind(post.state.as_str()).bind(post.created_at).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Notes what became of answers, at most `MAX_SETTLED`. One that has arrived needs its seed no more.
pub async fn settle(transaction: &mut Transaction, ids: &[String], state: AnswerState) -> Result<(), StoreError> {
    let places: Vec<String> = (0..ids.len()).map(|place| format!("${}", place + 2)).collect();
    let erase = if state == AnswerState::Delivered { ", seed = ''" } else { "" };
    let sql = format!("UPDATE recent_posts SET state = $1{erase} WHERE id IN ({})", places.join(", "));
    on!(&mut *transaction, connection => {
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(state.as_str()).persistent(false);
        for id in ids {
            query = query.bind(id.as_str());
        }
        query.execute(connection).await.map(|_| ())
    })?;
    if let Transaction::Postgres(inner) = transaction {
        sqlx::query("SELECT pg_notify($1, '')").bind(ANSWERS_CHANNEL).execute(&mut **inner).await?;
    }
    Ok(())
}

/// Forgets what is too old.
pub async fn clean_up(transaction: &mut Transaction, now: Timestamp) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("DELETE FROM recent_posts WHERE created_at < $1")
            .bind(now.0 - REMEMBERED_MICROS).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// A state that no version of this program wrote.
#[derive(Debug, thiserror::Error)]
#[error("an answer has an unknown state")]
pub struct UnknownState;

impl AnswerState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Delivered => "DELIVERED",
            Self::Lost => "LOST",
        }
    }
}

impl std::str::FromStr for AnswerState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        [Self::Open, Self::Delivered, Self::Lost].into_iter().find(|state| state.as_str() == text).ok_or(UnknownState)
    }
}
