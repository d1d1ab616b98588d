//! Adds up again what logical clusters have reserved on physical clusters, and puts right what is wrong.
//!
//! Promises: as `quota_recount`. The lock here is that of the physical cluster's row, which everybody who places,
//! reshapes or deletes a logical cluster takes in the same transaction.

use millstream_api::ids::PhysicalClusterId;
use millstream_api::plan::PLANS;
use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use super::page::parse_column;
use crate::domain::placement::Room;

/// Physical clusters that are found at a time at most.
const MAX_FOUND: i64 = 100;

/// A reservation that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongReservation {
    /// On which physical cluster.
    pub physical_cluster: PhysicalClusterId,
    /// What its logical clusters reserve.
    pub counted: Room,
    /// What is stored.
    pub reserved: Room,
}

/// The physical clusters whose reservations are wrong.
pub async fn find_wrong(transaction: &mut Transaction) -> Result<Vec<WrongReservation>, StoreError> {
    let sql = format!("SELECT * FROM ({}) AS found WHERE {IS_WRONG} ORDER BY id LIMIT $1", select("TRUE"));
    let rows: Vec<Row> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(MAX_FOUND).fetch_all(connection).await
    })?;
    rows.into_iter().map(WrongReservation::of).collect()
}

/// Adds up again behind the lock of the physical cluster and puts it right. Says what was wrong; none if it is right by
/// now.
pub async fn repair(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
) -> Result<Option<WrongReservation>, StoreError> {
    let lock = format!("SELECT id FROM physical_clusters WHERE id = $1{}", transaction.lock_rows());
    on!(&mut *transaction, connection => {
        sqlx::query(AssertSqlSafe(lock)).bind(physical_cluster.as_str()).execute(connection).await.map(|_| ())
    })?;
    let sql = format!("SELECT * FROM ({}) AS found WHERE {IS_WRONG}", select("host.id = $1"));
    let row: Option<Row> = on!(&mut *transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(physical_cluster.as_str()).fetch_optional(connection).await
    })?;
    let Some(wrong) = row.map(WrongReservation::of).transpose()? else { return Ok(None) };
    let Room { partitions, ingress_bytes_per_second, connections } = wrong.counted;
    on!(transaction, connection => {
        sqlx::query(
            "UPDATE physical_clusters SET reserved_partitions = $2, reserved_ingress = $3, \
             reserved_connections = $4 WHERE id = $1",
        )
        .bind(physical_cluster.as_str()).bind(partitions).bind(ingress_bytes_per_second).bind(connections)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(Some(wrong))
}

/// Id, then what is counted and what is stored: partitions, bytes per second, connections.
type Row = (String, i64, i64, i64, i64, i64, i64);

const IS_WRONG: &str = "counted_partitions <> reserved_partitions OR counted_ingress <> reserved_ingress \
    OR counted_connections <> reserved_connections";

impl WrongReservation {
    fn of(row: Row) -> Result<Self, StoreError> {
        let (id, partitions, ingress, connections, reserved_partitions, reserved_ingress, reserved_connections) = row;
        Ok(Self {
            physical_cluster: parse_column(id)?,
            counted: Room { partitions, ingress_bytes_per_second: ingress, connections },
            reserved: Room {
                partitions: reserved_partitions,
                ingress_bytes_per_second: reserved_ingress,
                connections: reserved_connections,
            },
        })
    }
}

/// What is counted and what is stored of the physical clusters that meet a condition.
fn select(condition: &str) -> String {
    let partitions = sum(|room| room.partitions);
    let ingress = sum(|room| room.ingress_bytes_per_second);
    let connections = sum(|room| room.connections);
    format!(
        "SELECT host.id AS id, {partitions} AS counted_partitions, {ingress} AS counted_ingress, \
         {connections} AS counted_connections, reserved_partitions, reserved_ingress, reserved_connections \
         FROM physical_clusters host LEFT JOIN logical_clusters tenant ON tenant.physical_cluster_id = host.id \
         WHERE {condition} GROUP BY host.id, reserved_partitions, reserved_ingress, reserved_connections"
    )
}

/// Adds up one figure over the logical clusters, by the figures of the plan table.
fn sum(figure: impl Fn(Room) -> i64) -> String {
    let of_kind = |kind: &str, figure| format!("WHEN '{kind}' THEN {figure}");
    let kinds: Vec<String> =
        PLANS.iter().map(|plan| of_kind(plan.kind.as_str(), figure(Room::reserved_by(plan.kind)))).collect();
    format!("CAST(SUM(CASE tenant.kind {} ELSE 0 END) AS BIGINT)", kinds.join(" "))
}
