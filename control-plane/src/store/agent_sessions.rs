//! Which agents are connected to other replicas. Only PostgreSQL has other replicas.
//!
//! Times are those of the database, so that clocks of replicas need not agree.

use sqlx::PgPool;

use super::error::StoreError;

/// How long after its last sign an agent still counts as connected, in seconds. Three heartbeats.
const LIVE_SECONDS: f64 = 6.0;

/// Records that an agent is connected.
pub async fn record(pool: &PgPool, agent_id: &str) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO agents (id, seen_at) VALUES ($1, CAST(EXTRACT(EPOCH FROM now()) * 1000000 AS BIGINT)) \
         ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at",
    )
    .bind(agent_id)
    .execute(pool)
    .await?;
    Ok(())
}

/// Agents that are connected to any replica.
pub async fn live(pool: &PgPool) -> Result<Vec<String>, StoreError> {
    let agents = sqlx::query_scalar(
        "SELECT id FROM agents WHERE seen_at >= CAST((EXTRACT(EPOCH FROM now()) - $1) * 1000000 AS BIGINT)",
    )
    .bind(LIVE_SECONDS)
    .fetch_all(pool)
    .await?;
    Ok(agents)
}
