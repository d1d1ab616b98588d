//! Role bindings: which principal has which role on what.
//!
//! Promises: whoever changes them holds the lock of the organization (`organizations::lock`), and so does whoever
//! places a cluster; brokers therefore have all bindings of each organization that has a cluster on them.

use millstream_api::crn::{CrnPattern, Scope};
use millstream_api::fleet;
use millstream_api::ids::{
    EnvironmentId, LogicalClusterId, OrganizationId, PhysicalClusterId, Principal, RoleBindingId, ServiceAccountId,
    UserId,
};
use millstream_api::role::Role;
use sqlx::AssertSqlSafe;
use tracing::warn;

use super::Transaction;
use super::config_log::to_unsigned;
use super::error::StoreError;
use super::page::{self, Condition, Listing, is_one_of};
use crate::authentication::OrgScope;
use crate::domain::authorization::{Visible, VisibleRoleBindings};
use crate::domain::page::PageRequest;
use crate::domain::quota::{self, Share};

const SELECT: &str = "SELECT organization_id, id, principal_service_account_id, principal_user_id, role_name, \
    crn_pattern, sent_crn_pattern, created_at FROM role_bindings";

/// A stored role binding.
pub struct RoleBinding {
    /// The organization that it is in.
    pub organization_id: OrganizationId,
    /// Its id.
    pub id: RoleBindingId,
    /// Who has the role, if it is a service account.
    pub principal_service_account_id: Option<ServiceAccountId>,
    /// Who has the role, if it is a user.
    pub principal_user_id: Option<UserId>,
    /// As in JSON.
    pub role_name: String,
    /// Where the role is bound, in its canonical form.
    pub crn_pattern: String,
    /// The same as it was sent; empty for one that nobody sent.
    pub sent_crn_pattern: String,
    /// When it was created.
    pub created_at: i64,
}

from_row!(RoleBinding {
    plain: [role_name, crn_pattern, sent_crn_pattern, created_at],
    parsed: [organization_id, id],
    optional: [principal_service_account_id, principal_user_id],
});

impl RoleBinding {
    /// Who has the role; none only in a damaged row.
    pub fn principal(&self) -> Option<Principal> {
        let service_account = self.principal_service_account_id.clone().map(Principal::ServiceAccount);
        service_account.or_else(|| self.principal_user_id.clone().map(Principal::User))
    }

    /// What brokers learn of it.
    pub fn config_item(&self) -> Option<fleet::RoleBinding> {
        Some(fleet::RoleBinding {
            id: self.id.to_string(),
            organization_id: self.organization_id.to_string(),
            principal: self.principal()?.to_string(),
            role_name: self.role_name.clone(),
            crn_pattern: self.crn_pattern.clone(),
        })
    }
}

/// Stores a new role binding. `scope` is what its pattern says. Fails with `Duplicate` if the same one exists.
pub async fn insert(transaction: &mut Transaction, binding: &RoleBinding, scope: &Scope) -> Result<(), StoreError> {
    let (environment, cluster, service_account) = match scope {
        Scope::Organization => (None, None, None),
        Scope::ServiceAccount(account) => (None, None, Some(account)),
        Scope::Environment(environment) => (Some(environment), None, None),
        Scope::Cluster(environment, cluster) | Scope::KafkaResource(environment, cluster, _) => {
            (Some(environment), Some(cluster), None)
        }
    };
    on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO role_bindings (organization_id, id, principal_service_account_id, principal_user_id, \
             role_name, crn_pattern, sent_crn_pattern, environment_id, cluster_id, service_account_id, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(binding.organization_id.to_string()).bind(binding.id.as_str())
        .bind(binding.principal_service_account_id.as_ref().map(ServiceAccountId::as_str))
        .bind(binding.principal_user_id.as_ref().map(UserId::as_str))
        .bind(binding.role_name.as_str()).bind(binding.crn_pattern.as_str()).bind(binding.sent_crn_pattern.as_str())
        .bind(environment.map(EnvironmentId::as_str)).bind(cluster.map(LogicalClusterId::as_str))
        .bind(service_account.map(ServiceAccountId::as_str)).bind(binding.created_at)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Reads a role binding.
pub async fn get(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &RoleBindingId,
) -> Result<Option<RoleBinding>, StoreError> {
    let sql = format!("{SELECT} WHERE organization_id = $1 AND id = $2");
    let row = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(scope.organization_id().to_string()).bind(id.as_str()).fetch_optional(connection).await
    })?;
    Ok(row)
}

/// Which bindings a list shows.
pub struct Filter {
    /// Only those on this, and on what is in it.
    pub crn_pattern: String,
    /// Only those of this principal.
    pub principal: Option<Principal>,
    /// Only those of this role.
    pub role: Option<Role>,
}

/// Reads one page of those that the caller sees: its own, and those on what it administers.
pub async fn list(
    transaction: &mut Transaction,
    scope: &OrgScope,
    (visible, own): (&Visible<VisibleRoleBindings>, &Principal),
    filter: &Filter,
    request: &PageRequest,
) -> Result<Listing<RoleBinding>, StoreError> {
    let inside = format!("{}/", filter.crn_pattern);
    let mut condition = Condition::of_organization(scope).and(
        "(crn_pattern = ? OR substr(crn_pattern, 1, length(?)) = ?)",
        [filter.crn_pattern.as_str(), &inside, &inside],
    );
    if let Visible::Only(bindings) = visible {
        condition = condition.and_any(vec![
            of(own),
            is_one_of("environment_id", &bindings.environments),
            is_one_of("cluster_id", &bindings.clusters),
            is_one_of("service_account_id", &bindings.service_accounts),
        ]);
    }
    if let Some(principal) = &filter.principal {
        condition = condition.and_any(vec![of(principal)]);
    }
    if let Some(role) = filter.role {
        condition = condition.and("role_name = ?", [role]);
    }
    page::read(transaction, (SELECT, "role_bindings"), &condition, request).await
}

/// SQL for the bindings of a principal.
fn of(principal: &Principal) -> (String, Vec<String>) {
    match principal {
        Principal::ServiceAccount(id) => is_one_of("principal_service_account_id", [id]),
        Principal::User(id) => is_one_of("principal_user_id", [id]),
    }
}

/// Deletes a role binding. Returns the places in quotas that it gave up: none if it was not there.
pub async fn delete(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &RoleBindingId,
) -> Result<Vec<Share>, StoreError> {
    let deleted: Option<(Option<String>,)> = on!(transaction, connection => {
        sqlx::query_as("DELETE FROM role_bindings WHERE organization_id = $1 AND id = $2 RETURNING cluster_id")
            .bind(scope.organization_id().to_string()).bind(id.as_str()).fetch_optional(connection).await
    })?;
    let Some((cluster,)) = deleted else { return Ok(Vec::new()) };
    Ok(shares_of(cluster.map(page::parse_column).transpose()?.as_ref()))
}

/// Whether anybody administers the organization.
pub async fn has_administrator(transaction: &mut Transaction, scope: &OrgScope) -> Result<bool, StoreError> {
    let found: i64 = on!(transaction, connection => {
        sqlx::query_scalar("SELECT COUNT(*) FROM role_bindings WHERE organization_id = $1 AND role_name = $2")
            .bind(scope.organization_id().to_string()).bind(Role::OrganizationAdmin.as_str())
            .fetch_one(connection).await
    })?;
    Ok(found > 0)
}

/// The roles of one principal. A binding that cannot be understood gives nothing.
pub async fn of_principal(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    principal: &Principal,
) -> Result<Vec<(Role, Scope)>, StoreError> {
    let (column, id) = match principal {
        Principal::ServiceAccount(id) => ("principal_service_account_id", id.as_str()),
        Principal::User(id) => ("principal_user_id", id.as_str()),
    };
    // Spelled like the index.
    let sql = format!(
        "SELECT role_name, crn_pattern FROM role_bindings WHERE organization_id = $1 \
         AND COALESCE(principal_service_account_id, principal_user_id) = $2 AND {column} = $2"
    );
    let rows: Vec<(String, String)> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(organization_id.to_string()).bind(id).fetch_all(connection).await
    })?;
    let parsed = rows.into_iter().filter_map(|(role, pattern)| {
        let parsed = role.parse().ok().zip(pattern.parse::<CrnPattern>().ok());
        if parsed.is_none() {
            warn!(%principal, role, "a role binding cannot be understood: it gives nothing");
        }
        parsed.map(|(role, pattern)| (role, pattern.scope))
    });
    Ok(parsed.collect())
}

/// Every binding of an organization, for brokers that now host its first cluster.
pub async fn of_organization(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
) -> Result<Vec<fleet::RoleBinding>, StoreError> {
    let sql = format!("{SELECT} WHERE organization_id = $1 ORDER BY id");
    let rows: Vec<RoleBinding> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(organization_id.to_string()).fetch_all(connection).await
    })?;
    Ok(rows.iter().filter_map(RoleBinding::config_item).collect())
}

/// The physical clusters that host clusters of an organization, in the order of their ids: where its bindings are.
pub async fn hosts(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
) -> Result<Vec<PhysicalClusterId>, StoreError> {
    let rows: Vec<String> = on!(transaction, connection => {
        sqlx::query_scalar(
            "SELECT DISTINCT physical_cluster_id FROM logical_clusters \
             WHERE organization_id = $1 AND physical_cluster_id IS NOT NULL ORDER BY 1",
        )
        .bind(organization_id.to_string()).fetch_all(connection).await
    })?;
    Ok(rows.into_iter().map(page::parse_column).collect::<sqlx::Result<_>>()?)
}

/// Notes in which revisions a binding was announced.
pub async fn set_revisions(
    transaction: &mut Transaction,
    binding: &RoleBinding,
    announced: &[(PhysicalClusterId, u64)],
) -> Result<(), StoreError> {
    for (host, revision) in announced {
        on!(&mut *transaction, connection => {
            sqlx::query(
                "INSERT INTO role_binding_revisions (organization_id, role_binding_id, physical_cluster_id, revision) \
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(binding.organization_id.to_string()).bind(binding.id.as_str()).bind(host.as_str())
            .bind(i64::try_from(*revision).unwrap_or(i64::MAX)).execute(connection).await.map(|_| ())
        })?;
    }
    Ok(())
}

/// Notes in which revision all bindings of an organization were announced to a physical cluster.
pub async fn set_revision_of_all(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    host: &PhysicalClusterId,
    revision: u64,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO role_binding_revisions (organization_id, role_binding_id, physical_cluster_id, revision) \
             SELECT organization_id, id, CAST($2 AS TEXT), CAST($3 AS BIGINT) FROM role_bindings \
             WHERE organization_id = $1 \
             ON CONFLICT (organization_id, role_binding_id, physical_cluster_id) \
             DO UPDATE SET revision = excluded.revision",
        )
        .bind(organization_id.to_string()).bind(host.as_str()).bind(i64::try_from(revision).unwrap_or(i64::MAX))
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Where and in which revisions a binding was last announced, as far as its organization still has clusters there.
pub async fn announced(
    transaction: &mut Transaction,
    binding: &RoleBinding,
) -> Result<Vec<(PhysicalClusterId, u64)>, StoreError> {
    let rows: Vec<(String, i64)> = on!(transaction, connection => {
        sqlx::query_as(
            "SELECT physical_cluster_id, revision FROM role_binding_revisions \
             WHERE organization_id = $1 AND role_binding_id = $2 AND physical_cluster_id IN \
             (SELECT physical_cluster_id FROM logical_clusters WHERE organization_id = $1) ORDER BY 1",
        )
        .bind(binding.organization_id.to_string()).bind(binding.id.as_str()).fetch_all(connection).await
    })?;
    let parsed = rows.into_iter().map(|(host, revision)| Ok((page::parse_column(host)?, to_unsigned(revision))));
    Ok(parsed.collect::<sqlx::Result<_>>()?)
}

/// What the deletion of an object takes with it.
pub enum Gone<'a> {
    /// An environment.
    Environment(&'a EnvironmentId),
    /// A Kafka cluster.
    Cluster(&'a LogicalClusterId),
    /// A service account, with its roles and the roles that others have on it.
    ServiceAccount(&'a ServiceAccountId),
    /// A user, with its roles.
    User(&'a UserId),
}

/// The places in quotas that a binding at a scope takes.
pub fn shares(scope: &Scope) -> Vec<Share> {
    match scope {
        Scope::Organization | Scope::ServiceAccount(_) | Scope::Environment(_) => shares_of(None),
        Scope::Cluster(_, cluster) | Scope::KafkaResource(_, cluster, _) => shares_of(Some(cluster)),
    }
}

fn shares_of(cluster: Option<&LogicalClusterId>) -> Vec<Share> {
    let lower = match cluster {
        Some(cluster) => Share::of_cluster(&quota::ROLE_BINDINGS_OF_CLUSTER, cluster),
        None => Share::of_organization(&quota::ROLE_BINDINGS_ABOVE_CLUSTERS),
    };
    vec![Share::of_organization(&quota::ROLE_BINDINGS), lower]
}

/// Bindings that were deleted with an object.
pub struct DeletedBindings {
    /// Their ids.
    pub ids: Vec<RoleBindingId>,
    /// The places in quotas that they gave up.
    pub shares: Vec<Share>,
}

/// Deletes the bindings that cannot outlive an object.
pub async fn delete_with(
    transaction: &mut Transaction,
    scope: &OrgScope,
    gone: Gone<'_>,
) -> Result<DeletedBindings, StoreError> {
    let (condition, id) = match gone {
        Gone::Environment(id) => ("environment_id = $2", id.as_str()),
        Gone::Cluster(id) => ("cluster_id = $2", id.as_str()),
        Gone::User(id) => ("principal_user_id = $2", id.as_str()),
        Gone::ServiceAccount(id) => ("(principal_service_account_id = $2 OR service_account_id = $2)", id.as_str()),
    };
    let sql = format!("DELETE FROM role_bindings WHERE organization_id = $1 AND {condition} RETURNING id, cluster_id");
    let rows: Vec<(String, Option<String>)> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(scope.organization_id().to_string()).bind(id).fetch_all(connection).await
    })?;
    let mut deleted = DeletedBindings { ids: Vec::with_capacity(rows.len()), shares: Vec::new() };
    for (id, cluster) in rows {
        let cluster = cluster.map(page::parse_column).transpose()?;
        deleted.ids.push(page::parse_column(id)?);
        deleted.shares.extend(shares_of(cluster.as_ref()));
    }
    Ok(deleted)
}

/// One chunk of a snapshot: bindings of the organizations on a physical cluster behind an id, in order.
pub async fn snapshot_chunk(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    after_id: &str,
    limit: i64,
) -> Result<Vec<fleet::RoleBinding>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE organization_id IN \
         (SELECT organization_id FROM logical_clusters WHERE physical_cluster_id = $1) AND id > $2 ORDER BY id LIMIT $3"
    );
    let rows: Vec<RoleBinding> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(physical_cluster.as_str()).bind(after_id).bind(limit).fetch_all(connection).await
    })?;
    Ok(rows.iter().filter_map(RoleBinding::config_item).collect())
}
