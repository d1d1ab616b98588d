//! Logical clusters.

use std::collections::BTreeSet;

use millstream_api::fleet;
use millstream_api::ids::{EnvironmentId, LogicalClusterId, OrganizationId, PhysicalClusterId};
use millstream_api::rest::cmk::ClusterKind;
use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use super::page::{self, Condition, Listing, is_one_of};
use crate::authentication::OrgScope;
use crate::domain::authorization::Visible;
use crate::domain::lifecycle::{LogicalEvent, LogicalPhase, PhysicalPhase};
use crate::domain::page::PageRequest;
use crate::domain::quota::{self, Share};
use crate::domain::timestamp::Timestamp;

const SELECT: &str = "SELECT id, environment_id, display_name, availability, cloud, region, kind, units, \
    observed_units, deletion_protection, phase, message, physical_cluster_id, created_at, updated_at, COALESCE((SELECT kafka_bootstrap_endpoint FROM physical_clusters \
    WHERE physical_clusters.id = logical_clusters.physical_cluster_id), '') AS kafka_bootstrap_endpoint, \
    COALESCE((SELECT kafka_ca_certificate FROM physical_clusters \
    WHERE physical_clusters.id = logical_clusters.physical_cluster_id), '') AS kafka_ca_certificate \
    FROM logical_clusters";

/// A stored logical cluster.
pub struct LogicalCluster {
    /// Its id.
    pub id: LogicalClusterId,
    /// The environment it lives in.
    pub environment_id: EnvironmentId,
    /// Name for people.
    pub display_name: String,
    /// As in JSON.
    pub availability: String,
    /// As in JSON.
    pub cloud: String,
    /// As in JSON.
    pub region: String,
    /// As in JSON.
    pub kind: String,
    /// CKUs of a Dedicated cluster, the most eCKUs of the others; 0 for as many as the plan allows.
    pub units: i64,
    /// The CKUs that a Dedicated cluster has at the moment.
    pub observed_units: i64,
    /// Whether it can be deleted only after this is switched off.
    pub deletion_protection: bool,
    /// Where it is in its life.
    pub phase: LogicalPhase,
    /// Why it is not ready, for its owner.
    pub message: String,
    /// Where it is; none until a physical cluster exists.
    pub physical_cluster_id: Option<PhysicalClusterId>,
    /// Where clients bootstrap from; empty until known.
    pub kafka_bootstrap_endpoint: String,
    /// Certificates, as PEM, that clients have to trust; empty where the public authorities do.
    pub kafka_ca_certificate: String,
    /// When it was created.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

from_row!(LogicalCluster {
    plain: [
        display_name,
        availability,
        cloud,
        region,
        kind,
        units,
        observed_units,
        deletion_protection,
        message,
        kafka_bootstrap_endpoint,
        kafka_ca_certificate,
        created_at,
        updated_at,
    ],
    parsed: [id, environment_id, phase],
    optional: [physical_cluster_id],
});

impl LogicalCluster {
    /// The places in quotas that it takes.
    pub fn shares(&self) -> Vec<Share> {
        let mut shares = vec![
            Share::of_organization(&quota::CLUSTERS),
            Share::of_environment(&quota::CLUSTERS_OF_ENVIRONMENT, &self.environment_id),
        ];
        if self.phase.is_pending() {
            shares.push(Share::of_environment(&quota::PENDING_CLUSTERS_OF_ENVIRONMENT, &self.environment_id));
        }
        shares.extend(self.shares_of_size());
        shares
    }

    /// The places in quotas that the CKUs of a Dedicated cluster take.
    pub fn shares_of_size(&self) -> Vec<Share> {
        if self.kind != ClusterKind::Dedicated.as_str() {
            return Vec::new();
        }
        vec![
            Share::of_environment(&quota::CKUS_OF_ENVIRONMENT, &self.environment_id).times(self.units),
            Share::of_cluster(&quota::CKUS_OF_CLUSTER, &self.id).times(self.units),
        ]
    }

    /// The places in quotas that its creation takes.
    pub fn shares_of_creation(&self) -> Vec<Share> {
        let mut shares = self.shares();
        shares.push(Share::of_organization(&quota::CLUSTER_CREATIONS));
        shares
    }

    /// What brokers learn of it.
    pub fn config_item(&self, organization_id: OrganizationId) -> fleet::LogicalCluster {
        fleet::LogicalCluster {
            id: self.id.to_string(),
            organization_id: organization_id.to_string(),
            environment_id: self.environment_id.to_string(),
            kind: self.kind.clone(),
            units: to_units(self.units),
        }
    }
}

/// A logical cluster on its way: what the background task needs to place it or call it ready.
pub struct Pending {
    /// Its id.
    pub id: LogicalClusterId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Its environment.
    pub environment_id: EnvironmentId,
    /// As in JSON.
    pub kind: String,
    /// CKUs of a Dedicated cluster, the most eCKUs of the others; 0 for as many as the plan allows.
    pub units: i64,
    /// As in JSON.
    pub cloud: String,
    /// As in JSON.
    pub region: String,
    /// Where it is in its life.
    pub phase: LogicalPhase,
    /// Since when.
    pub phase_since: i64,
    /// Why it is not ready, for its owner.
    pub message: String,
    /// Config revision that announced it.
    pub revision: i64,
    /// Where it is; none until it is placed.
    pub physical_cluster_id: Option<PhysicalClusterId>,
    /// Where clients bootstrap from; empty until known.
    pub kafka_bootstrap_endpoint: String,
    /// The agent of the physical cluster that is its own; empty on a shared one.
    pub agent_id: String,
    /// Where the physical cluster that is its own is in its life; none on a shared one.
    pub host_phase: Option<PhysicalPhase>,
    /// What the agent says of the physical cluster that is its own.
    pub host_message: String,
}

from_row!(Pending {
    plain: [
        kind,
        units,
        cloud,
        region,
        phase_since,
        message,
        revision,
        kafka_bootstrap_endpoint,
        agent_id,
        host_message
    ],
    parsed: [id, organization_id, environment_id, phase],
    optional: [physical_cluster_id, host_phase],
});

const SELECT_PENDING: &str = "SELECT logical_clusters.id, organization_id, environment_id, kind, units, \
    logical_clusters.cloud, logical_clusters.region, logical_clusters.phase, logical_clusters.phase_since, \
    logical_clusters.message, revision, physical_cluster_id, \
    COALESCE(host.kafka_bootstrap_endpoint, '') AS kafka_bootstrap_endpoint, \
    CASE WHEN host.dedicated_to <> '' THEN host.agent_id ELSE '' END AS agent_id, \
    CASE WHEN host.dedicated_to <> '' THEN host.phase END AS host_phase, \
    CASE WHEN host.dedicated_to <> '' THEN host.message ELSE '' END AS host_message \
    FROM logical_clusters LEFT JOIN physical_clusters AS host ON host.id = physical_cluster_id \
    WHERE logical_clusters.phase IN ('PLACING', 'PROVISIONING')";

impl Pending {
    /// The place in a quota that it gives up once it is ready.
    pub fn pending_share(&self) -> Share {
        Share::of_environment(&quota::PENDING_CLUSTERS_OF_ENVIRONMENT, &self.environment_id)
    }

    /// What brokers learn of it.
    pub fn config_item(&self) -> fleet::LogicalCluster {
        fleet::LogicalCluster {
            id: self.id.to_string(),
            organization_id: self.organization_id.to_string(),
            environment_id: self.environment_id.to_string(),
            kind: self.kind.clone(),
            units: to_units(self.units),
        }
    }
}

/// Stores a new logical cluster. `revision` is the config revision that announces it, 0 while it is not placed.
pub async fn insert(
    transaction: &mut Transaction,
    scope: &OrgScope,
    cluster: &LogicalCluster,
    revision: u64,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO logical_clusters (organization_id, id, environment_id, display_name, availability, cloud, \
             region, kind, units, observed_units, deletion_protection, phase, physical_cluster_id, revision, \
             created_at, updated_at, message, phase_since) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $15)",
        )
        .bind(scope.organization_id().to_string()).bind(cluster.id.as_str()).bind(cluster.environment_id.as_str())
        .bind(cluster.display_name.as_str()).bind(cluster.availability.as_str()).bind(cluster.cloud.as_str())
        .bind(cluster.region.as_str()).bind(cluster.kind.as_str()).bind(cluster.units)
        .bind(cluster.observed_units).bind(cluster.deletion_protection).bind(cluster.phase.as_str())
        .bind(cluster.physical_cluster_id.as_ref().map(PhysicalClusterId::as_str)).bind(to_signed(revision))
        .bind(cluster.created_at).bind(cluster.updated_at).bind(cluster.message.as_str())
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Reads a logical cluster.
pub async fn get(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &LogicalClusterId,
) -> Result<Option<LogicalCluster>, StoreError> {
    get_with(transaction, scope, id, "").await
}

/// Reads a logical cluster and keeps it from being deleted until the transaction ends.
pub async fn get_and_keep(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &LogicalClusterId,
) -> Result<Option<LogicalCluster>, StoreError> {
    let keep_rows = transaction.keep_rows();
    get_with(transaction, scope, id, keep_rows).await
}

/// Reads a logical cluster and keeps others from changing or referring to it until the transaction ends.
pub async fn get_and_lock(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &LogicalClusterId,
) -> Result<Option<LogicalCluster>, StoreError> {
    let lock_rows = transaction.lock_rows();
    get_with(transaction, scope, id, lock_rows).await
}

async fn get_with(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &LogicalClusterId,
    locking: &'static str,
) -> Result<Option<LogicalCluster>, StoreError> {
    let sql = format!("{SELECT} WHERE organization_id = $1 AND id = $2{locking}");
    let row = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(scope.organization_id().to_string()).bind(id.as_str()).fetch_optional(connection).await
    })?;
    Ok(row)
}

/// Reads one page of those clusters of an environment that the caller sees.
pub async fn list(
    transaction: &mut Transaction,
    scope: &OrgScope,
    environment: &EnvironmentId,
    visible: &Visible<BTreeSet<LogicalClusterId>>,
    request: &PageRequest,
) -> Result<Listing<LogicalCluster>, StoreError> {
    let mut condition = Condition::of_organization(scope).and("environment_id = ?", [environment]);
    if let Visible::Only(ids) = visible {
        condition = condition.and_any(vec![is_one_of("id", ids)]);
    }
    page::read(transaction, (SELECT, "logical_clusters"), &condition, request).await
}

/// Clusters of an environment.
pub async fn count_in_environment(
    transaction: &mut Transaction,
    scope: &OrgScope,
    environment: &EnvironmentId,
) -> Result<i64, StoreError> {
    let total = on!(transaction, connection => {
        sqlx::query_scalar("SELECT COUNT(*) FROM logical_clusters WHERE organization_id = $1 AND environment_id = $2")
            .bind(scope.organization_id().to_string()).bind(environment.as_str()).fetch_one(connection).await
    })?;
    Ok(total)
}

/// Stores what can change of a logical cluster.
pub async fn update(
    transaction: &mut Transaction,
    scope: &OrgScope,
    cluster: &LogicalCluster,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "UPDATE logical_clusters SET display_name = $3, kind = $4, units = $5, deletion_protection = $6, \
             updated_at = $7 WHERE organization_id = $1 AND id = $2",
        )
        .bind(scope.organization_id().to_string()).bind(cluster.id.as_str()).bind(cluster.display_name.as_str())
        .bind(cluster.kind.as_str()).bind(cluster.units).bind(cluster.deletion_protection).bind(cluster.updated_at)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Deletes a logical cluster. Fails with `BrokenReference` while it has keys.
pub async fn delete(transaction: &mut Transaction, scope: &OrgScope, id: &LogicalClusterId) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("DELETE FROM logical_clusters WHERE organization_id = $1 AND id = $2")
            .bind(scope.organization_id().to_string()).bind(id.as_str()).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Clusters that are not ready yet, oldest first. For the background task: every organization.
pub async fn on_their_way(transaction: &mut Transaction, limit: i64) -> Result<Vec<Pending>, StoreError> {
    let sql = format!("{SELECT_PENDING} ORDER BY logical_clusters.created_at, logical_clusters.id LIMIT $1");
    let rows = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(limit).fetch_all(connection).await
    })?;
    Ok(rows)
}

/// Clusters that no physical cluster hosts yet, oldest first; nobody else can place or delete them until the
/// transaction ends. For the background task: every organization.
pub async fn lock_unplaced(transaction: &mut Transaction, limit: i64) -> Result<Vec<Pending>, StoreError> {
    // The other side of the join is empty for these, and PostgreSQL refuses to lock it.
    let lock_rows = match &transaction {
        Transaction::Sqlite(_) => "",
        Transaction::Postgres(_) => " FOR UPDATE OF logical_clusters",
    };
    let order = "ORDER BY logical_clusters.created_at, logical_clusters.id";
    let sql = format!("{SELECT_PENDING} AND logical_clusters.phase = 'PLACING' {order} LIMIT $1{lock_rows}");
    let rows = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(limit).fetch_all(connection).await
    })?;
    Ok(rows)
}

/// Records where a cluster was placed. For the background task, which has locked the row.
pub async fn set_placement(
    transaction: &mut Transaction,
    cluster: &Pending,
    physical_cluster: &PhysicalClusterId,
    revision: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(next) = cluster.phase.after(LogicalEvent::Placed) else { return Ok(()) };
    on!(transaction, connection => {
        sqlx::query(
            "UPDATE logical_clusters SET physical_cluster_id = $2, revision = $3, phase = $4, phase_since = $5, \
             message = '' WHERE id = $1 AND phase = $6",
        )
        .bind(cluster.id.as_str()).bind(physical_cluster.as_str()).bind(to_signed(revision)).bind(next.as_str())
        .bind(now.0).bind(cluster.phase.as_str())
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Moves a cluster on, if it still is where it was. Says whether it was. For the background task.
pub async fn transition(
    transaction: &mut Transaction,
    cluster: &Pending,
    next: LogicalPhase,
    message: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = on!(transaction, connection => {
        sqlx::query(
            "UPDATE logical_clusters SET phase = $2, phase_since = $3, updated_at = $3, message = $4 \
             WHERE id = $1 AND phase = $5",
        )
        .bind(cluster.id.as_str()).bind(next.as_str()).bind(now.0).bind(message).bind(cluster.phase.as_str())
        .execute(connection).await.map(|result| result.rows_affected())
    })?;
    Ok(changed > 0)
}

/// Says why a cluster is not ready. For the background task.
pub async fn set_message(transaction: &mut Transaction, cluster: &Pending, message: &str) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("UPDATE logical_clusters SET message = $2 WHERE id = $1 AND phase = $3")
            .bind(cluster.id.as_str()).bind(message).bind(cluster.phase.as_str())
            .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Records the CKUs that a cluster has, as its agent says.
pub async fn set_observed_units(
    transaction: &mut Transaction,
    id: &str,
    physical_cluster: &PhysicalClusterId,
    units: i64,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "UPDATE logical_clusters SET observed_units = $3 WHERE id = $1 AND physical_cluster_id = $2 \
             AND observed_units <> $3",
        )
        .bind(id).bind(physical_cluster.as_str()).bind(units).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// One chunk of a snapshot: clusters of a physical cluster behind an id, in order.
pub async fn snapshot_chunk(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    after_id: &str,
    limit: i64,
) -> Result<Vec<fleet::LogicalCluster>, StoreError> {
    let rows: Vec<(String, String, String, String, i64)> = on!(transaction, connection => {
        sqlx::query_as(
            "SELECT id, organization_id, environment_id, kind, units FROM logical_clusters \
             WHERE physical_cluster_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        )
        .bind(physical_cluster.as_str()).bind(after_id).bind(limit).fetch_all(connection).await
    })?;
    let items = rows.into_iter().map(|(id, organization_id, environment_id, kind, units)| fleet::LogicalCluster {
        id,
        organization_id,
        environment_id,
        kind,
        units: to_units(units),
    });
    Ok(items.collect())
}

fn to_signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn to_units(units: i64) -> u32 {
    u32::try_from(units).unwrap_or(0)
}
