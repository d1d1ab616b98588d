//! What brokers connected to other replicas have acknowledged. Only PostgreSQL has other replicas.
//!
//! Times are those of the database, so that clocks of replicas need not agree.

use millstream_api::ids::PhysicalClusterId;
use sqlx::PgPool;

use super::Transaction;
use super::config_log::to_unsigned;
use super::error::StoreError;

/// The LISTEN/NOTIFY channel on which replicas tell each other of new config revisions.
pub const CONFIG_CHANNEL: &str = "millstream_config";
/// How long after its last sign a session still counts as alive, in seconds. Three heartbeats. While the database was
/// away nobody could give a sign: for as long after its start every session counts.
const LIVE_SECONDS: f64 = 6.0;
/// How long after its last sign a session is forgotten, in seconds.
const STALE_SECONDS: f64 = 3_600.0;

/// One connected broker and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSession {
    /// Tells its stream from others.
    pub id: String,
    /// What it belongs to.
    pub physical_cluster: PhysicalClusterId,
    /// Its number there.
    pub broker_id: i32,
    /// What it has acknowledged.
    pub revision: u64,
}

/// Records how far brokers are, and that they live, all in one statement.
pub async fn record(pool: &PgPool, replica_id: &str, sessions: &[BrokerSession]) -> Result<(), StoreError> {
    let ids: Vec<&str> = sessions.iter().map(|session| session.id.as_str()).collect();
    let physical_clusters: Vec<&str> = sessions.iter().map(|session| session.physical_cluster.as_str()).collect();
    let broker_ids: Vec<i64> = sessions.iter().map(|session| i64::from(session.broker_id)).collect();
    let revisions: Vec<i64> =
        sessions.iter().map(|session| i64::try_from(session.revision).unwrap_or(i64::MAX)).collect();
    sqlx::query(
        "INSERT INTO broker_sessions (session_id, replica_id, physical_cluster_id, broker_id, revision, seen_at) \
         SELECT id, $1, physical_cluster_id, broker_id, revision, CAST(EXTRACT(EPOCH FROM now()) * 1000000 AS BIGINT) \
         FROM UNNEST($2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::BIGINT[]) \
              AS session (id, physical_cluster_id, broker_id, revision) \
         ON CONFLICT (session_id) DO UPDATE SET revision = excluded.revision, seen_at = excluded.seen_at",
    )
    .bind(replica_id)
    .bind(ids)
    .bind(physical_clusters)
    .bind(broker_ids)
    .bind(revisions)
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets what a broker acknowledged on other streams, now that it opened this one: their replica may have crashed.
pub async fn take_over(
    pool: &PgPool,
    session_id: &str,
    physical_cluster: &PhysicalClusterId,
    broker_id: i32,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM broker_sessions WHERE physical_cluster_id = $1 AND broker_id = $2 AND session_id <> $3")
        .bind(physical_cluster.as_str())
        .bind(i64::from(broker_id))
        .bind(session_id)
        .execute(pool)
        .await?;
    Ok(())
}

/// Forgets brokers that left.
pub async fn remove(pool: &PgPool, session_ids: &[&str]) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM broker_sessions WHERE session_id = ANY($1)").bind(session_ids).execute(pool).await?;
    Ok(())
}

/// Forgets brokers that have long given no sign: their replica crashed.
pub async fn clean_up(transaction: &mut Transaction) -> Result<(), StoreError> {
    let Transaction::Postgres(inner) = transaction else { return Ok(()) };
    let sql = "DELETE FROM broker_sessions \
               WHERE seen_at < CAST((EXTRACT(EPOCH FROM now()) - $1) * 1000000 AS BIGINT)";
    sqlx::query(sql).bind(STALE_SECONDS).execute(&mut **inner).await?;
    Ok(())
}

/// How many live brokers of other replicas have not acknowledged a revision.
pub async fn behind_elsewhere(
    pool: &PgPool,
    replica_id: &str,
    physical_cluster: &PhysicalClusterId,
    revision: u64,
) -> Result<u64, StoreError> {
    let behind: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM broker_sessions WHERE physical_cluster_id = $1 AND replica_id <> $2 \
         AND (seen_at > CAST((EXTRACT(EPOCH FROM now()) - $3) * 1000000 AS BIGINT) \
              OR pg_postmaster_start_time() > now() - make_interval(secs => $3)) AND revision < $4",
    )
    .bind(physical_cluster.as_str())
    .bind(replica_id)
    .bind(LIVE_SECONDS)
    .bind(i64::try_from(revision).unwrap_or(i64::MAX))
    .fetch_one(pool)
    .await?;
    Ok(to_unsigned(behind))
}

/// The lowest revision among the live brokers of other replicas; none if there are no such brokers.
pub async fn lowest_elsewhere(
    pool: &PgPool,
    replica_id: &str,
    physical_cluster: &PhysicalClusterId,
) -> Result<Option<u64>, StoreError> {
    let lowest: Option<i64> = sqlx::query_scalar(
        "SELECT MIN(revision) FROM broker_sessions WHERE physical_cluster_id = $1 AND replica_id <> $2 \
         AND (seen_at > CAST((EXTRACT(EPOCH FROM now()) - $3) * 1000000 AS BIGINT) \
              OR pg_postmaster_start_time() > now() - make_interval(secs => $3))",
    )
    .bind(physical_cluster.as_str())
    .bind(replica_id)
    .bind(LIVE_SECONDS)
    .fetch_one(pool)
    .await?;
    Ok(lowest.map(to_unsigned))
}
