//! Who there is in an organization, as brokers learn it: they refuse ACLs for anybody else.
//!
//! Promises: as for role bindings, whoever adds or removes a principal holds the lock of the organization
//! (`organizations::lock`), and so does whoever places a cluster; brokers therefore know every principal of each
//! organization that has a cluster on them.

use millstream_api::fleet::PrincipalOfOrganization;
use millstream_api::ids::{OrganizationId, PhysicalClusterId, Principal};
use sqlx::AssertSqlSafe;

use super::Transaction;
use super::config_log::{self, Changes};
use super::error::StoreError;
use super::role_bindings;
use super::shard::{self, Change};
use crate::domain::timestamp::Timestamp;

/// Every principal with its organization, in the form of ACLs.
const EVERYBODY: &str = "SELECT 'User:' || id AS principal, organization_id FROM service_accounts \
    UNION ALL SELECT 'User:' || id, organization_id FROM users";

/// Tells the brokers of an organization of a new principal. What is returned is to be announced after the commit.
pub async fn tell(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    principal: &Principal,
    now: Timestamp,
) -> Result<Vec<(PhysicalClusterId, u64)>, StoreError> {
    let item =
        PrincipalOfOrganization { principal: principal.to_string(), organization_id: organization_id.to_string() };
    let mut changes = Changes::new();
    for host in role_bindings::hosts(transaction, organization_id).await? {
        changes.insert(host, vec![shard::upsert_principal(item.clone())]);
    }
    config_log::append_all(transaction, changes, now).await
}

/// Every principal of an organization, for brokers that now host its first cluster.
pub async fn of_organization(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
) -> Result<Vec<Change>, StoreError> {
    let sql = format!("SELECT principal, organization_id FROM ({EVERYBODY}) AS everybody WHERE organization_id = $1");
    let rows: Vec<(String, String)> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(organization_id.to_string()).fetch_all(connection).await
    })?;
    Ok(rows.into_iter().map(to_item).map(shard::upsert_principal).collect())
}

/// One chunk of a snapshot: principals of the organizations on a physical cluster behind one, in order.
pub async fn snapshot_chunk(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    after: &str,
    limit: i64,
) -> Result<Vec<PrincipalOfOrganization>, StoreError> {
    let sql = format!(
        "SELECT principal, organization_id FROM ({EVERYBODY}) AS everybody WHERE organization_id IN \
         (SELECT organization_id FROM logical_clusters WHERE physical_cluster_id = $1) AND principal > $2 \
         ORDER BY principal LIMIT $3"
    );
    let rows: Vec<(String, String)> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(physical_cluster.as_str()).bind(after).bind(limit).fetch_all(connection).await
    })?;
    Ok(rows.into_iter().map(to_item).collect())
}

fn to_item((principal, organization_id): (String, String)) -> PrincipalOfOrganization {
    PrincipalOfOrganization { principal, organization_id }
}
