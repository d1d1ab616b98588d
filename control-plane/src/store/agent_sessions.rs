//! Which process speaks for an agent, and on which of its streams.
//!
//! Promises: one stream per agent at a time, also with several replicas: of two processes with one id the one that was seen
//! first later is the agent for as long as it gives signs, and what another stream writes is refused in the transaction that
//! would write it. Times are those of the database, so that clocks of replicas need not agree.

use sqlx::{AssertSqlSafe, PgPool};

use super::Transaction;
use super::error::StoreError;

/// How long after its last sign an agent still counts as connected. Three heartbeats.
const LIVE_MICROSECONDS: i64 = 6_000_000;
/// Processes of one agent that are remembered. One that was forgotten counts as a new one.
const MAX_BOOTS: i64 = 16;

/// One stream of one process of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The agent.
    pub agent_id: String,
    /// The process.
    pub boot_id: String,
    /// The stream.
    pub stream_id: String,
}

/// What became of the wish to be an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The stream speaks for the agent from now on. The boot id of another process that it took this from.
    Held {
        /// Empty if there was none.
        displaced: Option<String>,
    },
    /// A process that came later speaks for the agent.
    Fenced {
        /// Its boot id.
        by: String,
    },
}

/// Makes the stream the agent's, unless a process that came later is alive: by its signs, or because this replica has a
/// stream of it.
pub async fn claim(
    transaction: &mut Transaction,
    session: &Session,
    is_open_here: impl Fn(&str) -> bool,
) -> Result<Claim, StoreError> {
    let holder = lock(transaction, &session.agent_id).await?;
    let own = number(transaction, &session.agent_id, &session.boot_id).await?;
    let is_alive = !holder.stream_id.is_empty() && (holder.is_live || is_open_here(&holder.stream_id));
    let is_another = is_alive && holder.boot_id != session.boot_id;
    if is_another && number(transaction, &session.agent_id, &holder.boot_id).await? > own {
        return Ok(Claim::Fenced { by: holder.boot_id });
    }
    let now = now(transaction);
    let sql = format!("UPDATE agents SET boot_id = $2, stream_id = $3, seen_at = {now} WHERE id = $1");
    on!(&mut *transaction, connection => {
        sqlx::query(AssertSqlSafe(sql))
            .bind(session.agent_id.as_str()).bind(session.boot_id.as_str()).bind(session.stream_id.as_str())
            .execute(connection).await.map(|_| ())
    })?;
    on!(transaction, connection => {
        sqlx::query("DELETE FROM agent_boots WHERE agent_id = $1 AND number <= $2")
            .bind(session.agent_id.as_str()).bind(own - MAX_BOOTS).execute(connection).await.map(|_| ())
    })?;
    Ok(Claim::Held { displaced: is_another.then_some(holder.boot_id) })
}

/// Says that the stream is alive. False if it does not speak for the agent any more.
pub async fn renew(transaction: &mut Transaction, session: &Session) -> Result<bool, StoreError> {
    let now = now(transaction);
    let sql = format!("UPDATE agents SET seen_at = {now} WHERE id = $1 AND stream_id = $2");
    let renewed = on!(transaction, connection => {
        sqlx::query(AssertSqlSafe(sql))
            .bind(session.agent_id.as_str()).bind(session.stream_id.as_str())
            .execute(connection).await.map(|result| result.rows_affected())
    })?;
    Ok(renewed > 0)
}

/// Whether the stream speaks for the agent. If it does, it goes on to until this transaction ends.
pub async fn holds(transaction: &mut Transaction, session: &Session) -> Result<bool, StoreError> {
    let keep = match transaction {
        // Whoever writes is alone.
        Transaction::Sqlite(_) => "",
        Transaction::Postgres(_) => " FOR SHARE",
    };
    let sql = format!("SELECT stream_id FROM agents WHERE id = $1{keep}");
    let holder: Option<String> = on!(transaction, connection => {
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(session.agent_id.as_str()).fetch_optional(connection).await
    })?;
    Ok(holder.is_some_and(|stream_id| stream_id == session.stream_id))
}

/// Agents that are connected to any replica.
pub async fn live(pool: &PgPool) -> Result<Vec<String>, StoreError> {
    let agents = sqlx::query_scalar(
        "SELECT id FROM agents WHERE seen_at >= CAST(EXTRACT(EPOCH FROM now()) * 1000000 AS BIGINT) - $1",
    )
    .bind(LIVE_MICROSECONDS)
    .fetch_all(pool)
    .await?;
    Ok(agents)
}

struct Holder {
    boot_id: String,
    stream_id: String,
    is_live: bool,
}

/// Locks the agent's row, which is made if it is missing.
async fn lock(transaction: &mut Transaction, agent_id: &str) -> Result<Holder, StoreError> {
    on!(&mut *transaction, connection => {
        sqlx::query("INSERT INTO agents (id, seen_at) VALUES ($1, 0) ON CONFLICT (id) DO NOTHING")
            .bind(agent_id).execute(connection).await.map(|_| ())
    })?;
    let (now, lock_rows) = (now(transaction), transaction.lock_rows());
    let sql = format!(
        "SELECT boot_id, stream_id, CASE WHEN seen_at >= {now} - $2 THEN 1 ELSE 0 END \
         FROM agents WHERE id = $1{lock_rows}"
    );
    let (boot_id, stream_id, is_live): (String, String, i32) = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(agent_id).bind(LIVE_MICROSECONDS).fetch_one(connection).await
    })?;
    Ok(Holder { boot_id, stream_id, is_live: is_live != 0 })
}

/// Which process of the agent this is, counted in the order in which they were seen first.
async fn number(transaction: &mut Transaction, agent_id: &str, boot_id: &str) -> Result<i64, StoreError> {
    on!(&mut *transaction, connection => {
        sqlx::query(
            "INSERT INTO agent_boots (agent_id, boot_id, number) \
             SELECT $1, $2, COALESCE(MAX(number), 0) + 1 FROM agent_boots WHERE agent_id = $1 \
             ON CONFLICT (agent_id, boot_id) DO NOTHING",
        )
        .bind(agent_id).bind(boot_id).execute(connection).await.map(|_| ())
    })?;
    let number = on!(transaction, connection => {
        sqlx::query_scalar("SELECT number FROM agent_boots WHERE agent_id = $1 AND boot_id = $2")
            .bind(agent_id).bind(boot_id).fetch_one(connection).await
    })?;
    Ok(number)
}

/// The database's clock in microseconds, as SQL.
fn now(transaction: &Transaction) -> &'static str {
    match transaction {
        Transaction::Sqlite(_) => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        Transaction::Postgres(_) => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
    }
}
