//! How many clusters are in each phase, and since when the one that is there for longest. For whoever operates the
//! service: every organization.

use std::str::FromStr;

use super::Transaction;
use super::error::StoreError;
use super::page::parse_column;
use crate::domain::lifecycle::{LogicalPhase, PhysicalPhase, UnknownPhase};

/// One phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseCount<P> {
    /// The phase.
    pub phase: P,
    /// Clusters in it.
    pub count: i64,
    /// Since when the oldest of them is.
    pub oldest_since: i64,
}

/// The phases in which there are logical clusters.
pub async fn of_logical_clusters(transaction: &mut Transaction) -> Result<Vec<PhaseCount<LogicalPhase>>, StoreError> {
    count(transaction, "SELECT phase, COUNT(*), MIN(phase_since) FROM logical_clusters GROUP BY phase").await
}

/// The phases in which there are physical clusters.
pub async fn of_physical_clusters(transaction: &mut Transaction) -> Result<Vec<PhaseCount<PhysicalPhase>>, StoreError> {
    count(transaction, "SELECT phase, COUNT(*), MIN(phase_since) FROM physical_clusters GROUP BY phase").await
}

/// Ready physical clusters of which the agent says that something is wrong.
pub async fn degraded_physical_clusters(transaction: &mut Transaction) -> Result<i64, StoreError> {
    let sql = "SELECT COUNT(*) FROM physical_clusters WHERE phase = 'READY' AND message <> ''";
    let count = on!(transaction, connection => sqlx::query_scalar(sql).fetch_one(connection).await)?;
    Ok(count)
}

async fn count<P: FromStr<Err = UnknownPhase>>(
    transaction: &mut Transaction,
    sql: &'static str,
) -> Result<Vec<PhaseCount<P>>, StoreError> {
    let rows: Vec<(String, i64, i64)> =
        on!(transaction, connection => sqlx::query_as(sql).fetch_all(connection).await)?;
    let counts = rows
        .into_iter()
        .map(|(phase, count, oldest_since)| Ok(PhaseCount { phase: parse_column(phase)?, count, oldest_since }));
    counts.collect()
}
