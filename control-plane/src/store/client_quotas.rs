//! Client quotas.
//!
//! Promises: whoever makes, changes or deletes one holds the lock of its cluster's row, and so does whoever places the
//! cluster, so that brokers have every quota of each cluster that they host.

use std::str::FromStr;

use millstream_api::fleet;
use millstream_api::ids::{ClientQuotaId, EnvironmentId, LogicalClusterId, PhysicalClusterId};
use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use super::page::{self, Listing};
use crate::authentication::OrgScope;
use crate::domain::client_quota::{NotAPrincipal, Principal};
use crate::domain::page::PageRequest;

const SELECT: &str = "SELECT id, cluster_id, (SELECT environment_id FROM logical_clusters \
    WHERE logical_clusters.id = client_quotas.cluster_id) AS environment_id, display_name, description, \
    ingress_byte_rate, egress_byte_rate, principals, created_at, updated_at FROM client_quotas";

/// Principals in the order in which they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principals(pub Vec<Principal>);

impl FromStr for Principals {
    type Err = NotAPrincipal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(' ').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Principals {
    fn to_column(&self) -> String {
        let ids: Vec<&str> = self.0.iter().map(Principal::id).collect();
        ids.join(" ")
    }
}

/// A stored client quota.
pub struct ClientQuota {
    /// Its id.
    pub id: ClientQuotaId,
    /// The cluster that it holds in.
    pub cluster_id: LogicalClusterId,
    /// The environment of the cluster.
    pub environment_id: EnvironmentId,
    /// Name for people.
    pub display_name: String,
    /// Free text.
    pub description: String,
    /// Bytes per second.
    pub ingress_byte_rate: i64,
    /// Bytes per second.
    pub egress_byte_rate: i64,
    /// Whom it holds for.
    pub principals: Principals,
    /// When it was created.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

from_row!(ClientQuota {
    plain: [display_name, description, ingress_byte_rate, egress_byte_rate, created_at, updated_at],
    parsed: [id, cluster_id, environment_id, principals],
    optional: [],
});

impl ClientQuota {
    /// What brokers learn of it.
    pub fn config_item(&self) -> fleet::ClientQuota {
        fleet::ClientQuota {
            id: self.id.to_string(),
            logical_cluster_id: self.cluster_id.to_string(),
            principals: self.principals.0.iter().map(Principal::in_config).collect(),
            ingress_byte_rate: u64::try_from(self.ingress_byte_rate).unwrap_or(0),
            egress_byte_rate: u64::try_from(self.egress_byte_rate).unwrap_or(0),
        }
    }
}

/// Stores a new quota.
pub async fn insert(transaction: &mut Transaction, scope: &OrgScope, quota: &ClientQuota) -> Result<(), StoreError> {
    on!(&mut *transaction, connection => {
        sqlx::query(
            "INSERT INTO client_quotas (organization_id, id, cluster_id, display_name, description, \
             ingress_byte_rate, egress_byte_rate, principals, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(scope.organization_id().to_string()).bind(quota.id.as_str()).bind(quota.cluster_id.as_str())
        .bind(quota.display_name.as_str()).bind(quota.description.as_str()).bind(quota.ingress_byte_rate)
        .bind(quota.egress_byte_rate).bind(quota.principals.to_column()).bind(quota.created_at).bind(quota.updated_at)
        .execute(connection).await.map(|_| ())
    })?;
    insert_principals(transaction, scope, quota).await
}

async fn insert_principals(
    transaction: &mut Transaction,
    scope: &OrgScope,
    quota: &ClientQuota,
) -> Result<(), StoreError> {
    for principal in &quota.principals.0 {
        on!(&mut *transaction, connection => {
            sqlx::query(
                "INSERT INTO client_quota_principals (organization_id, cluster_id, principal, client_quota_id) \
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(scope.organization_id().to_string()).bind(quota.cluster_id.as_str()).bind(principal.id())
            .bind(quota.id.as_str()).execute(connection).await.map(|_| ())
        })?;
    }
    Ok(())
}

/// Reads a quota.
pub async fn get(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &ClientQuotaId,
) -> Result<Option<ClientQuota>, StoreError> {
    let sql = format!("{SELECT} WHERE organization_id = $1 AND id = $2");
    let row = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(scope.organization_id().to_string()).bind(id.as_str()).fetch_optional(connection).await
    })?;
    Ok(row)
}

/// Reads one page of a cluster's quotas.
pub async fn list(
    transaction: &mut Transaction,
    scope: &OrgScope,
    cluster: &LogicalClusterId,
    request: &PageRequest,
) -> Result<Listing<ClientQuota>, StoreError> {
    let organization = scope.organization_id().to_string();
    let total: i64 = on!(&mut *transaction, connection => {
        sqlx::query_scalar("SELECT COUNT(*) FROM client_quotas WHERE organization_id = $1 AND cluster_id = $2")
            .bind(organization.as_str()).bind(cluster.as_str()).fetch_one(connection).await
    })?;
    let plan = page::plan(request, total);
    let sql = plan.sql(SELECT, "organization_id = $4 AND cluster_id = $5");
    let rows = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(plan.cursor.created_at).bind(plan.cursor.id.as_str()).bind(plan.limit)
            .bind(organization.as_str()).bind(cluster.as_str()).fetch_all(connection).await
    })?;
    Ok(plan.finish(request, rows, total))
}

/// The ids of principals that have a quota in a cluster, other than the one given.
pub async fn principals_of_others(
    transaction: &mut Transaction,
    scope: &OrgScope,
    quota: &ClientQuota,
) -> Result<Vec<String>, StoreError> {
    let principals = on!(transaction, connection => {
        sqlx::query_scalar(
            "SELECT principal FROM client_quota_principals \
             WHERE organization_id = $1 AND cluster_id = $2 AND client_quota_id <> $3",
        )
        .bind(scope.organization_id().to_string()).bind(quota.cluster_id.as_str()).bind(quota.id.as_str())
        .fetch_all(connection).await
    })?;
    Ok(principals)
}

/// Stores everything about a quota that can change.
pub async fn update(transaction: &mut Transaction, scope: &OrgScope, quota: &ClientQuota) -> Result<(), StoreError> {
    let organization = scope.organization_id().to_string();
    on!(&mut *transaction, connection => {
        sqlx::query(
            "UPDATE client_quotas SET display_name = $3, description = $4, ingress_byte_rate = $5, \
             egress_byte_rate = $6, principals = $7, updated_at = $8 WHERE organization_id = $1 AND id = $2",
        )
        .bind(organization.as_str()).bind(quota.id.as_str()).bind(quota.display_name.as_str())
        .bind(quota.description.as_str()).bind(quota.ingress_byte_rate).bind(quota.egress_byte_rate)
        .bind(quota.principals.to_column()).bind(quota.updated_at).execute(connection).await.map(|_| ())
    })?;
    on!(&mut *transaction, connection => {
        sqlx::query("DELETE FROM client_quota_principals WHERE organization_id = $1 AND client_quota_id = $2")
            .bind(organization.as_str()).bind(quota.id.as_str()).execute(connection).await.map(|_| ())
    })?;
    insert_principals(transaction, scope, quota).await
}

/// Deletes a quota. Says whether it was there.
pub async fn delete(transaction: &mut Transaction, scope: &OrgScope, id: &ClientQuotaId) -> Result<bool, StoreError> {
    let deleted = on!(transaction, connection => {
        sqlx::query("DELETE FROM client_quotas WHERE organization_id = $1 AND id = $2")
            .bind(scope.organization_id().to_string()).bind(id.as_str())
            .execute(connection).await.map(|result| result.rows_affected())
    })?;
    Ok(deleted > 0)
}

/// Deletes every quota of a cluster and returns their ids.
pub async fn delete_of_cluster(
    transaction: &mut Transaction,
    scope: &OrgScope,
    cluster: &LogicalClusterId,
) -> Result<Vec<ClientQuotaId>, StoreError> {
    let rows: Vec<String> = on!(transaction, connection => {
        sqlx::query_scalar("DELETE FROM client_quotas WHERE organization_id = $1 AND cluster_id = $2 RETURNING id")
            .bind(scope.organization_id().to_string()).bind(cluster.as_str()).fetch_all(connection).await
    })?;
    Ok(rows.into_iter().map(page::parse_column).collect::<sqlx::Result<_>>()?)
}

/// Every quota of one cluster, for the background task that announces a cluster once it is placed.
pub async fn of_cluster(
    transaction: &mut Transaction,
    cluster: &LogicalClusterId,
) -> Result<Vec<fleet::ClientQuota>, StoreError> {
    let sql = format!("{SELECT} WHERE cluster_id = $1 ORDER BY id");
    let rows: Vec<ClientQuota> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(cluster.as_str()).fetch_all(connection).await
    })?;
    Ok(rows.iter().map(ClientQuota::config_item).collect())
}

/// One chunk of a snapshot: quotas of the clusters on a physical cluster behind an id, in order.
pub async fn snapshot_chunk(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    after_id: &str,
    limit: i64,
) -> Result<Vec<fleet::ClientQuota>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE cluster_id IN (SELECT id FROM logical_clusters WHERE physical_cluster_id = $1) \
         AND id > $2 ORDER BY id LIMIT $3"
    );
    let rows: Vec<ClientQuota> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(physical_cluster.as_str()).bind(after_id).bind(limit).fetch_all(connection).await
    })?;
    Ok(rows.iter().map(ClientQuota::config_item).collect())
}
