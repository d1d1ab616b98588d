//! Physical clusters: what agents were asked to run and what they observed. Not tenant data.
//!
//! Promises: a phase changes only as the table in `domain::lifecycle` says, from the phase that was read.

use millstream_api::ids::{LogicalClusterId, PhysicalClusterId};
use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use crate::domain::lifecycle::{PhysicalEvent, PhysicalPhase};
use crate::domain::placement::{Candidate, Room, Shared};
use crate::domain::timestamp::Timestamp;

/// The LISTEN/NOTIFY channel on which replicas tell each other that agents have something to do.
pub const AGENT_CHANNEL: &str = "millstream_agents";

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
    /// The only logical cluster that it hosts; empty for a shared one.
    pub dedicated_to: String,
    /// Capacity in CKUs; 0 for a shared one.
    pub ckus: i64,
    /// Where it is in its life.
    pub phase: PhysicalPhase,
    /// Tells the shared ones of one place apart; 0 for the first and for a dedicated one.
    pub ordinal: i64,
}

from_row!(PhysicalCluster {
    plain: [cloud, region, generation, dedicated_to, ckus, ordinal],
    parsed: [id, phase],
    optional: [],
});

const SELECT: &str = "SELECT id, cloud, region, generation, dedicated_to, ckus, phase, ordinal FROM physical_clusters";

/// What an agent observed.
pub struct Observation {
    /// The generation it speaks of.
    pub observed_generation: i64,
    /// What it saw.
    pub event: PhysicalEvent,
    /// Why, for a person.
    pub message: String,
    /// Where clients bootstrap from.
    pub kafka_bootstrap_endpoint: String,
    /// Certificates, as PEM, that clients have to trust; empty where the public authorities do.
    pub kafka_ca_certificate: String,
    /// What logical clusters on it may reserve together; 0 for no bound.
    pub capacity: Room,
}

/// What became of an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// It is not the agent's, it is older than what was observed before, or it means nothing in this phase.
    Ignored,
    /// Stored.
    Stored,
    /// It was to be removed and is: nothing of it is left.
    Removed,
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
             message, kafka_bootstrap_endpoint, created_at, dedicated_to, ckus, phase_since, ordinal) \
             VALUES ($1, $2, $3, $4, $5, 0, $6, '', '', $7, $8, $9, $7, $10) \
             ON CONFLICT (agent_id, cloud, region, dedicated_to, ordinal) DO NOTHING",
        )
        .bind(cluster.id.as_str()).bind(agent_id).bind(cluster.cloud.as_str()).bind(cluster.region.as_str())
        .bind(cluster.generation).bind(cluster.phase.as_str()).bind(now.0).bind(cluster.dedicated_to.as_str())
        .bind(cluster.ckus).bind(cluster.ordinal)
        .execute(connection).await.map(|result| result.rows_affected())
    })?;
    if inserted > 0 {
        super::config_log::create_head(transaction, &cluster.id).await?;
    }
    Ok(inserted > 0)
}

/// The physical clusters of an agent, the shared ones first.
pub async fn of_agent(transaction: &mut Transaction, agent_id: &str) -> Result<Vec<PhysicalCluster>, StoreError> {
    let sql = format!("{SELECT} WHERE agent_id = $1 ORDER BY dedicated_to, id");
    let rows = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(agent_id).fetch_all(connection).await
    })?;
    Ok(rows)
}

/// The shared physical clusters of an agent, by place and ordinal.
pub async fn shared_of_agent(transaction: &mut Transaction, agent_id: &str) -> Result<Vec<Shared>, StoreError> {
    let sql = "SELECT cloud, region, ordinal, phase, reserved_partitions, reserved_ingress, reserved_connections, \
         capacity_partitions, capacity_ingress, capacity_connections FROM physical_clusters \
         WHERE agent_id = $1 AND dedicated_to = '' ORDER BY cloud, region, ordinal";
    let rows: Vec<SharedRow> =
        on!(transaction, connection => sqlx::query_as(sql).bind(agent_id).fetch_all(connection).await)?;
    let read = |(cloud, region, ordinal, phase, partitions, ingress, connections, all_partitions, all_ingress, all): SharedRow| {
        let room = |partitions, ingress_bytes_per_second, connections| Room { partitions, ingress_bytes_per_second, connections };
        Ok(Shared {
            cloud,
            region,
            ordinal,
            phase: super::page::parse_column(phase)?,
            reserved: room(partitions, ingress, connections),
            capacity: room(all_partitions, all_ingress, all),
        })
    };
    rows.into_iter().map(read).collect()
}

type SharedRow = (String, String, i64, String, i64, i64, i64, i64, i64, i64);

/// Says what a physical cluster will hold before its agent does, so that no more is reserved on it meanwhile.
pub async fn expect_capacity(
    transaction: &mut Transaction,
    id: &PhysicalClusterId,
    capacity: Room,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "UPDATE physical_clusters SET capacity_partitions = $2, capacity_ingress = $3, capacity_connections = $4 \
             WHERE id = $1",
        )
        .bind(id.as_str()).bind(capacity.partitions).bind(capacity.ingress_bytes_per_second)
        .bind(capacity.connections)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Every shared physical cluster that can host another logical cluster.
pub async fn candidates(transaction: &mut Transaction) -> Result<Vec<Candidate>, StoreError> {
    let rows: Vec<(String, String, String, String, i64, String)> = on!(transaction, connection => {
        sqlx::query_as(
            "SELECT id, agent_id, cloud, region, reserved_partitions, phase FROM physical_clusters \
             WHERE dedicated_to = '' AND phase IN ('PROVISIONING', 'READY') ORDER BY id",
        )
        .fetch_all(connection).await
    })?;
    rows.into_iter()
        .map(|(id, agent_id, cloud, region, reserved_partitions, phase)| {
            let is_ready = super::page::parse_column::<PhysicalPhase>(phase)? == PhysicalPhase::Ready;
            Ok(Candidate { id: super::page::parse_column(id)?, agent_id, cloud, region, reserved_partitions, is_ready })
        })
        .collect()
}

/// How many dedicated physical clusters each agent has; agents without any are left out.
pub async fn dedicated_per_agent(transaction: &mut Transaction) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = on!(transaction, connection => {
        sqlx::query_as(
            "SELECT agent_id, COUNT(*) FROM physical_clusters WHERE dedicated_to <> '' GROUP BY agent_id",
        )
        .fetch_all(connection).await
    })?;
    Ok(rows)
}

/// Where clients bootstrap from, empty until known, and the certificates that they have to trust, if any.
pub async fn endpoint(transaction: &mut Transaction, id: &PhysicalClusterId) -> Result<(String, String), StoreError> {
    let endpoint: Option<(String, String)> = on!(transaction, connection => {
        sqlx::query_as("SELECT kafka_bootstrap_endpoint, kafka_ca_certificate FROM physical_clusters WHERE id = $1")
            .bind(id.as_str()).fetch_optional(connection).await
    })?;
    Ok(endpoint.unwrap_or_default())
}

/// Reserves room on a shared physical cluster if there is as much. Says whether there was. What is less than nothing is
/// given back, which always succeeds.
pub async fn reserve(transaction: &mut Transaction, id: &PhysicalClusterId, room: Room) -> Result<bool, StoreError> {
    let reserved = on!(transaction, connection => {
        sqlx::query(
            "UPDATE physical_clusters SET reserved_partitions = reserved_partitions + $2, \
             reserved_ingress = reserved_ingress + $3, reserved_connections = reserved_connections + $4 \
             WHERE id = $1 \
             AND ($2 <= 0 OR capacity_partitions = 0 OR reserved_partitions + $2 <= capacity_partitions) \
             AND ($3 <= 0 OR capacity_ingress = 0 OR reserved_ingress + $3 <= capacity_ingress) \
             AND ($4 <= 0 OR capacity_connections = 0 OR reserved_connections + $4 <= capacity_connections)",
        )
        .bind(id.as_str()).bind(room.partitions).bind(room.ingress_bytes_per_second).bind(room.connections)
        .execute(connection).await.map(|result| result.rows_affected())
    })?;
    Ok(reserved > 0)
}

/// Asks for another capacity of a dedicated physical cluster.
pub async fn resize(
    transaction: &mut Transaction,
    id: &PhysicalClusterId,
    dedicated_to: &LogicalClusterId,
    ckus: i64,
) -> Result<(), StoreError> {
    on!(&mut *transaction, connection => {
        sqlx::query(
            "UPDATE physical_clusters SET ckus = $3, generation = generation + 1 WHERE id = $1 AND dedicated_to = $2",
        )
        .bind(id.as_str()).bind(dedicated_to.as_str()).bind(ckus).execute(connection).await.map(|_| ())
    })?;
    notify_agents(transaction).await
}

/// Asks for the removal of the physical cluster that belongs to a logical cluster. Says whether there is one.
pub async fn delete_dedicated(
    transaction: &mut Transaction,
    id: &PhysicalClusterId,
    dedicated_to: &LogicalClusterId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let phase: Option<String> = on!(&mut *transaction, connection => {
        sqlx::query_scalar("SELECT phase FROM physical_clusters WHERE id = $1 AND dedicated_to = $2")
            .bind(id.as_str()).bind(dedicated_to.as_str()).fetch_optional(connection).await
    })?;
    let Some(phase) = phase else { return Ok(false) };
    let phase: PhysicalPhase = super::page::parse_column(phase)?;
    let Some(next) = phase.after(PhysicalEvent::Delete) else { return Ok(false) };
    on!(&mut *transaction, connection => {
        sqlx::query(
            "UPDATE physical_clusters SET phase = $2, phase_since = $3, generation = generation + 1 WHERE id = $1",
        )
        .bind(id.as_str()).bind(next.as_str()).bind(now.0).execute(connection).await.map(|_| ())
    })?;
    notify_agents(transaction).await?;
    Ok(true)
}

/// Takes in what an agent observed of one of its own physical clusters; older observations are dropped.
pub async fn observe(
    transaction: &mut Transaction,
    agent_id: &str,
    id: &PhysicalClusterId,
    observation: &Observation,
    now: Timestamp,
) -> Result<Observed, StoreError> {
    let lock_rows = transaction.lock_rows();
    // The logical cluster first, as whoever changes or deletes it does.
    let sql = format!(
        "SELECT id FROM logical_clusters WHERE id = (SELECT dedicated_to FROM physical_clusters WHERE id = $1)\
         {lock_rows}"
    );
    on!(&mut *transaction, connection => {
        sqlx::query(AssertSqlSafe(sql)).bind(id.as_str()).execute(connection).await.map(|_| ())
    })?;
    let sql = format!("{SELECT} WHERE agent_id = $1 AND id = $2 AND observed_generation <= $3{lock_rows}");
    let found: Option<PhysicalCluster> = on!(&mut *transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(agent_id).bind(id.as_str()).bind(observation.observed_generation)
            .fetch_optional(connection).await
    })?;
    let Some(found) = found else { return Ok(Observed::Ignored) };
    match found.phase.after(observation.event) {
        None => Ok(Observed::Ignored),
        Some(PhysicalPhase::Removed) => {
            remove(transaction, id).await?;
            Ok(Observed::Removed)
        }
        Some(next) => {
            store_observation(transaction, id, found.phase, next, observation, now).await?;
            let is_current = observation.observed_generation == found.generation;
            let is_whole = observation.event == PhysicalEvent::ObservedReady;
            if is_whole && is_current && !found.dedicated_to.is_empty() {
                super::logical_clusters::set_observed_units(transaction, &found.dedicated_to, id, found.ckus).await?;
            }
            Ok(Observed::Stored)
        }
    }
}

async fn store_observation(
    transaction: &mut Transaction,
    id: &PhysicalClusterId,
    from: PhysicalPhase,
    to: PhysicalPhase,
    observation: &Observation,
    now: Timestamp,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "UPDATE physical_clusters SET observed_generation = $2, message = $3, phase = $4, \
             phase_since = CASE WHEN phase = $4 THEN phase_since ELSE $5 END, \
             kafka_bootstrap_endpoint = CASE WHEN $6 = '' THEN kafka_bootstrap_endpoint ELSE $6 END, \
             kafka_ca_certificate = CASE WHEN $6 = '' THEN kafka_ca_certificate ELSE $11 END, \
             capacity_partitions = $8, capacity_ingress = $9, capacity_connections = $10 \
             WHERE id = $1 AND phase = $7",
        )
        .bind(id.as_str()).bind(observation.observed_generation).bind(observation.message.as_str())
        .bind(to.as_str()).bind(now.0).bind(observation.kafka_bootstrap_endpoint.as_str()).bind(from.as_str())
        .bind(observation.capacity.partitions).bind(observation.capacity.ingress_bytes_per_second)
        .bind(observation.capacity.connections).bind(observation.kafka_ca_certificate.as_str())
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

async fn remove(transaction: &mut Transaction, id: &PhysicalClusterId) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM config_events WHERE physical_cluster_id = $1",
        "DELETE FROM shard_heads WHERE physical_cluster_id = $1",
        "DELETE FROM physical_clusters WHERE id = $1",
    ] {
        on!(&mut *transaction, connection => {
            sqlx::query(statement).bind(id.as_str()).execute(connection).await.map(|_| ())
        })?;
    }
    Ok(())
}

/// A physical cluster that is on its way.
pub struct OnItsWay {
    /// Its id.
    pub id: PhysicalClusterId,
    /// The agent that runs it.
    pub agent_id: String,
    /// Where it is in its life.
    pub phase: PhysicalPhase,
    /// Since when.
    pub phase_since: i64,
}

from_row!(OnItsWay { plain: [agent_id, phase_since], parsed: [id, phase], optional: [] });

/// Physical clusters that should not stay in their phase, those that are in it for longest first.
pub async fn on_their_way(transaction: &mut Transaction, limit: i64) -> Result<Vec<OnItsWay>, StoreError> {
    let rows = on!(transaction, connection => {
        sqlx::query_as(
            "SELECT id, agent_id, phase, phase_since FROM physical_clusters WHERE phase IN ('PROVISIONING', 'DELETING') \
             ORDER BY phase_since, id LIMIT $1",
        )
        .bind(limit).fetch_all(connection).await
    })?;
    Ok(rows)
}

/// Moves one on that is overdue, if it still is where it was.
pub async fn set_overdue(
    transaction: &mut Transaction,
    cluster: &OnItsWay,
    next: PhysicalPhase,
    message: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "UPDATE physical_clusters SET phase = $2, phase_since = $3, message = $4 \
             WHERE id = $1 AND phase = $5 AND phase_since = $6",
        )
        .bind(cluster.id.as_str()).bind(next.as_str()).bind(now.0).bind(message).bind(cluster.phase.as_str())
        .bind(cluster.phase_since)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Tells every replica, once this transaction is committed, that agents have something to do. The replica at hand
/// wakes its own.
pub async fn notify_agents(transaction: &mut Transaction) -> Result<(), StoreError> {
    if let Transaction::Postgres(inner) = transaction {
        sqlx::query("SELECT pg_notify($1, '')").bind(AGENT_CHANNEL).execute(&mut **inner).await?;
    }
    Ok(())
}
