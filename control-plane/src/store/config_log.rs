//! The config log of each physical cluster: revisions without gaps, events in order, bounded length.
//!
//! Promises: a revision is taken in the transaction of the change it announces, under the row lock of its physical
//! cluster, so whoever reads revision N reads everything up to N. Never loses an event that is younger than the bound;
//! older ones are removed by a background task.

use std::collections::BTreeMap;

use millstream_api::fleet::{ConfigEvent, Delta};
use millstream_api::ids::PhysicalClusterId;
use prost::Message as _;
use sqlx::PgPool;

use super::Transaction;
use super::error::StoreError;
use super::shard::Change;
use crate::domain::timestamp::Timestamp;

/// Revisions that are kept; a broker that is further behind gets a snapshot.
pub const MAX_LOGGED_REVISIONS: i64 = 100_000;

/// Where the log of a physical cluster stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// The newest revision; 0 before the first change.
    pub head: u64,
    /// The oldest revision that is still in the log, if any is.
    pub oldest: Option<u64>,
}

impl LogState {
    /// Whether an image at `revision` can be brought up to date by deltas.
    pub fn can_resume_from(self, revision: u64) -> bool {
        let caught_up = revision == self.head;
        let next_is_logged = revision < self.head && self.oldest.is_some_and(|oldest| oldest <= revision + 1);
        caught_up || next_is_logged
    }
}

/// The epoch of all streams, and the newest revision of some physical clusters, in one statement.
pub async fn heads(
    pool: &PgPool,
    physical_clusters: &[PhysicalClusterId],
) -> Result<(u64, Vec<(PhysicalClusterId, u64)>), StoreError> {
    let names: Vec<&str> = physical_clusters.iter().map(PhysicalClusterId::as_str).collect();
    let rows: Vec<(i64, String, i64)> = sqlx::query_as(
        "SELECT epoch, physical_cluster_id, revision FROM installation, shard_heads \
         WHERE installation.id = 1 AND physical_cluster_id = ANY($1)",
    )
    .bind(names)
    .fetch_all(pool)
    .await?;
    let epoch = rows.first().map_or(0, |(epoch, _, _)| to_unsigned(*epoch));
    let heads = rows.into_iter().filter_map(|(_, name, revision)| Some((name.parse().ok()?, to_unsigned(revision))));
    Ok((epoch, heads.collect()))
}

/// Makes the counter of a new physical cluster.
pub async fn create_head(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("INSERT INTO shard_heads (physical_cluster_id, revision) VALUES ($1, 0)")
            .bind(physical_cluster.as_str()).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Takes the next revision and logs the changes under it. All of them are applied together or not at all.
pub async fn append(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    changes: Vec<Change>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let revision: i64 = on!(transaction, connection => {
        sqlx::query_scalar(
            "UPDATE shard_heads SET revision = revision + 1 WHERE physical_cluster_id = $1 RETURNING revision",
        )
        .bind(physical_cluster.as_str()).fetch_one(connection).await
    })?;
    let revision_number = to_unsigned(revision);
    let events = changes.into_iter().map(|change| ConfigEvent { revision: revision_number, change: Some(change) });
    let payload = Delta { events: events.collect(), ..Delta::default() }.encode_to_vec();
    on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO config_events (physical_cluster_id, revision, payload, created_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(physical_cluster.as_str()).bind(revision).bind(payload).bind(now.0)
        .execute(connection).await.map(|_| ())
    })?;
    if let Transaction::Postgres(inner) = &mut *transaction {
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(super::broker_sessions::CONFIG_CHANNEL)
            .bind(physical_cluster.as_str())
            .execute(&mut **inner)
            .await?;
    }
    Ok(revision_number)
}

/// Changes of several physical clusters, in the order in which their counters are locked.
pub type Changes = BTreeMap<PhysicalClusterId, Vec<Change>>;

/// Takes the next revision of each physical cluster. The order of their ids keeps two transactions from waiting for
/// each other's counters.
pub async fn append_all(
    transaction: &mut Transaction,
    changes: Changes,
    now: Timestamp,
) -> Result<Vec<(PhysicalClusterId, u64)>, StoreError> {
    let mut revisions = Vec::with_capacity(changes.len());
    for (physical_cluster, changes) in changes {
        let revision = append(transaction, &physical_cluster, changes, now).await?;
        revisions.push((physical_cluster, revision));
    }
    Ok(revisions)
}

/// The logs that are longer than what is kept, and the newest revision of each that can be removed.
pub async fn longer_than_kept(transaction: &mut Transaction) -> Result<Vec<(PhysicalClusterId, i64)>, StoreError> {
    let rows: Vec<(String, i64)> = on!(transaction, connection => {
        sqlx::query_as("SELECT physical_cluster_id, revision - $1 FROM shard_heads WHERE revision > $1")
            .bind(MAX_LOGGED_REVISIONS).fetch_all(connection).await
    })?;
    rows.into_iter().map(|(id, revision)| Ok((super::page::parse_column(id)?, revision))).collect()
}

/// Removes the events up to a revision.
pub async fn remove_up_to(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    revision: i64,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("DELETE FROM config_events WHERE physical_cluster_id = $1 AND revision <= $2")
            .bind(physical_cluster.as_str()).bind(revision).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Where the log of a physical cluster stands; none if there is no such physical cluster.
pub async fn state(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
) -> Result<Option<LogState>, StoreError> {
    let row: Option<(i64, Option<i64>)> = on!(transaction, connection => {
        sqlx::query_as(
            "SELECT revision, (SELECT MIN(revision) FROM config_events WHERE physical_cluster_id = $1) \
             FROM shard_heads WHERE physical_cluster_id = $1",
        )
        .bind(physical_cluster.as_str()).fetch_optional(connection).await
    })?;
    Ok(row.map(|(head, oldest)| LogState { head: to_unsigned(head), oldest: oldest.map(to_unsigned) }))
}

/// Events of the revisions behind `after`, of `revisions` revisions at most, in order. A revision is never cut.
pub async fn events_after(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    after: u64,
    revisions: u32,
) -> Result<Vec<ConfigEvent>, StoreError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows: Vec<Vec<u8>> = on!(transaction, connection => {
        sqlx::query_scalar(
            "SELECT payload FROM config_events WHERE physical_cluster_id = $1 AND revision > $2 AND revision <= $3 \
             ORDER BY revision",
        )
        .bind(physical_cluster.as_str()).bind(after).bind(after.saturating_add(i64::from(revisions)))
        .fetch_all(connection).await
    })?;
    let mut events = Vec::new();
    for payload in rows {
        let delta = Delta::decode(payload.as_slice());
        events.extend(delta.map_err(|error| StoreError::Failed(sqlx::Error::Decode(Box::new(error))))?.events);
    }
    Ok(events)
}

/// Revisions are counted up from 0 and never negative.
pub fn to_unsigned(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_resumes_only_where_the_log_still_reaches() {
        let state = LogState { head: 10, oldest: Some(4) };
        assert!(state.can_resume_from(10));
        assert!(state.can_resume_from(3));
        assert!(!state.can_resume_from(2));
        assert!(!state.can_resume_from(11));
        assert!(LogState { head: 0, oldest: None }.can_resume_from(0));
        assert!(!LogState { head: 3, oldest: None }.can_resume_from(0));
    }
}
