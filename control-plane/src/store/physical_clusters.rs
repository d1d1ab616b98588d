//! Physical clusters: what agents were asked to run and what they observed. Not tenant data.

use millstream_api::ids::PhysicalClusterId;

use super::Transaction;
use super::error::StoreError;
use crate::domain::placement::Candidate;
use crate::domain::timestamp::Timestamp;

/// A stored physical cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalCluster {
    /// Its id.
    pub id: PhysicalClusterId,
    /// Cloud it serves; empty for every cloud.
    pub cloud: String,
    /// Region it serves; empty for every region.
    pub region: String,
    /// Counts changes of what is desired.
    pub generation: i64,
}

from_row!(PhysicalCluster { plain: [cloud, region, generation], parsed: [id], optional: [] });

/// What an agent observed.
pub struct Observation {
    /// The generation it speaks of.
    pub observed_generation: i64,
    /// READY and so on.
    pub phase: &'static str,
    /// Why, for a person.
    pub message: String,
    /// Where clients bootstrap from.
    pub kafka_bootstrap_endpoint: String,
}

/// Stores a new physical cluster with its revision counter, unless the agent already has one for the place.
/// Says whether it is new.
pub async fn insert_if_absent(
    transaction: &mut Transaction,
    agent_id: &str,
    cluster: &PhysicalCluster,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let inserted = on!(&mut *transaction, connection => {
        sqlx::query(
            "INSERT INTO physical_clusters (id, agent_id, cloud, region, generation, observed_generation, phase, \
             message, kafka_bootstrap_endpoint, created_at) VALUES ($1, $2, $3, $4, $5, 0, 'PROVISIONING', '', '', $6) \
             ON CONFLICT (agent_id, cloud, region) DO NOTHING",
        )
        .bind(cluster.id.as_str()).bind(agent_id).bind(cluster.cloud.as_str()).bind(cluster.region.as_str())
        .bind(cluster.generation).bind(now.0)
        .execute(connection).await.map(|result| result.rows_affected())
    })?;
    if inserted > 0 {
        super::config_log::create_head(transaction, &cluster.id).await?;
    }
    Ok(inserted > 0)
}

/// The physical clusters of an agent.
pub async fn of_agent(transaction: &mut Transaction, agent_id: &str) -> Result<Vec<PhysicalCluster>, StoreError> {
    let rows = on!(transaction, connection => {
        sqlx::query_as("SELECT id, cloud, region, generation FROM physical_clusters WHERE agent_id = $1 ORDER BY id")
            .bind(agent_id).fetch_all(connection).await
    })?;
    Ok(rows)
}

/// Every physical cluster that can host another logical cluster.
pub async fn candidates(transaction: &mut Transaction) -> Result<Vec<Candidate>, StoreError> {
    let rows: Vec<(String, String, String, i64)> = on!(transaction, connection => {
        sqlx::query_as(
            "SELECT id, cloud, region, (SELECT COUNT(*) FROM logical_clusters WHERE physical_cluster_id = \
             physical_clusters.id) FROM physical_clusters WHERE phase NOT IN ('FAILED', 'DELETED') ORDER BY id",
        )
        .fetch_all(connection).await
    })?;
    rows.into_iter()
        .map(|(id, cloud, region, logical_clusters)| {
            Ok(Candidate { id: super::page::parse_column(id)?, cloud, region, logical_clusters })
        })
        .collect()
}

/// Where clients bootstrap from; empty until known.
pub async fn bootstrap_endpoint(transaction: &mut Transaction, id: &PhysicalClusterId) -> Result<String, StoreError> {
    let endpoint: Option<String> = on!(transaction, connection => {
        sqlx::query_scalar("SELECT kafka_bootstrap_endpoint FROM physical_clusters WHERE id = $1")
            .bind(id.as_str()).fetch_optional(connection).await
    })?;
    Ok(endpoint.unwrap_or_default())
}

/// Takes in what an agent observed of one of its own physical clusters; older observations are dropped.
/// Says whether a row was changed.
pub async fn observe(
    transaction: &mut Transaction,
    agent_id: &str,
    id: &PhysicalClusterId,
    observation: &Observation,
) -> Result<bool, StoreError> {
    let changed = on!(transaction, connection => {
        sqlx::query(
            "UPDATE physical_clusters SET observed_generation = $3, phase = $4, message = $5, \
             kafka_bootstrap_endpoint = CASE WHEN $6 = '' THEN kafka_bootstrap_endpoint ELSE $6 END \
             WHERE agent_id = $1 AND id = $2 AND observed_generation <= $3",
        )
        .bind(agent_id).bind(id.as_str()).bind(observation.observed_generation).bind(observation.phase)
        .bind(observation.message.as_str()).bind(observation.kafka_bootstrap_endpoint.as_str())
        .execute(connection).await.map(|result| result.rows_affected())
    })?;
    Ok(changed > 0)
}
