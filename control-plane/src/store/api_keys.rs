//! API keys. Secrets are stored as HMACs only.

use millstream_api::fleet;
use millstream_api::ids::{
    ApiKeyId, LogicalClusterId, OrganizationId, PhysicalClusterId, Principal, ServiceAccountId, UserId,
};
use sqlx::AssertSqlSafe;

use super::Transaction;
use super::config_log::to_unsigned;
use super::error::StoreError;
use super::page::{self, Condition, Listing, is_one_of};
use crate::authentication::OrgScope;
use crate::domain::api_key::KeyScope;
use crate::domain::authorization::{Visible, VisibleKeys};
use crate::domain::page::PageRequest;
use crate::domain::quota::{self, Share};
use crate::domain::timestamp::Timestamp;

const SELECT: &str = "SELECT id, owner_service_account_id, owner_user_id, cluster_id, \
    (SELECT environment_id FROM logical_clusters WHERE logical_clusters.id = api_keys.cluster_id) AS environment_id, \
    (SELECT physical_cluster_id FROM logical_clusters WHERE logical_clusters.id = api_keys.cluster_id) \
    AS physical_cluster_id, \
    (SELECT kind FROM logical_clusters WHERE logical_clusters.id = api_keys.cluster_id) AS cluster_kind, display_name, description, secret_hmac, revision, created_at, \
    updated_at FROM api_keys";

/// A stored API key.
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The owner, if it is a service account.
    pub owner_service_account_id: Option<ServiceAccountId>,
    /// The owner, if it is a user.
    pub owner_user_id: Option<UserId>,
    /// The Kafka cluster that it opens; none for a Cloud key.
    pub cluster_id: Option<LogicalClusterId>,
    /// The environment of that cluster.
    pub environment_id: Option<millstream_api::ids::EnvironmentId>,
    /// As in JSON, the kind of that cluster.
    pub cluster_kind: Option<String>,
    /// Where that cluster is.
    pub physical_cluster_id: Option<PhysicalClusterId>,
    /// Name for people.
    pub display_name: String,
    /// Free text.
    pub description: String,
    /// HMAC of the secret.
    pub secret_hmac: Vec<u8>,
    /// In which config revision it was last announced; 0 if nobody knows.
    pub revision: i64,
    /// When it was created.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

from_row!(ApiKey {
    plain: [display_name, description, secret_hmac, revision, created_at, updated_at],
    parsed: [id],
    optional: [owner_service_account_id, owner_user_id, cluster_id, environment_id, cluster_kind, physical_cluster_id],
});

impl ApiKey {
    /// Whose permissions the key has; none only in a damaged row.
    pub fn owner(&self) -> Option<Principal> {
        owner_from(self.owner_service_account_id.clone(), self.owner_user_id.clone())
    }

    /// The places in quotas that it takes.
    pub fn shares(&self) -> Vec<Share> {
        let account = self.owner_service_account_id.as_ref();
        let user = self.owner_user_id.as_ref();
        let mut shares = Vec::new();
        match &self.cluster_id {
            None => {
                shares.push(Share::of_organization(&quota::CLOUD_KEYS));
                shares.extend(account.map(Share::cloud_key_of_service_account));
                shares.extend(user.map(Share::cloud_key_of_user));
            }
            Some(cluster) => {
                let kind = self.cluster_kind.as_deref().unwrap_or_default();
                shares.push(Share::key_of_cluster(cluster, kind));
                shares.extend(account.map(Share::cluster_key_of_service_account));
                shares.extend(user.map(Share::cluster_key_of_user));
            }
        }
        shares
    }

    /// Where and in which revision it was announced; nowhere if it is a Cloud key or its cluster has no place yet.
    pub fn announced(&self) -> Vec<(PhysicalClusterId, u64)> {
        let host = self.physical_cluster_id.clone();
        host.into_iter().map(|host| (host, to_unsigned(self.revision))).collect()
    }

    /// What brokers learn of it; none for a Cloud key.
    pub fn config_item(&self) -> Option<fleet::ApiKey> {
        let (Some(cluster), Some(owner)) = (&self.cluster_id, self.owner()) else { return None };
        Some(fleet::ApiKey {
            id: self.id.to_string(),
            logical_cluster_id: cluster.to_string(),
            principal: owner.to_string(),
            secret_hmac: self.secret_hmac.clone().into(),
        })
    }
}

/// What authentication needs to know of a key.
pub struct Credential {
    /// The organization of the key.
    pub organization_id: OrganizationId,
    /// Whose permissions the key has.
    pub owner: Principal,
    /// What the key opens.
    pub scope: KeyScope,
    /// HMAC of the secret.
    pub secret_hmac: Vec<u8>,
}

/// Which keys a list shows.
#[derive(Default)]
pub struct Filter {
    /// Only keys of this service account.
    pub owner_service_account: Option<ServiceAccountId>,
    /// Only keys of this user.
    pub owner_user: Option<UserId>,
    /// Only keys that open this.
    pub resource: Option<KeyScope>,
}

/// Reads a key by its id alone: the one read that happens before the organization is known.
pub async fn find_credential(transaction: &mut Transaction, id: &ApiKeyId) -> Result<Option<Credential>, StoreError> {
    type Row = (String, Option<String>, Option<String>, Option<String>, Vec<u8>);
    let row: Option<Row> = on!(transaction, connection => {
        sqlx::query_as(
            "SELECT organization_id, owner_service_account_id, owner_user_id, cluster_id, secret_hmac \
             FROM api_keys WHERE id = $1",
        )
        .bind(id.as_str()).fetch_optional(connection).await
    })?;
    let Some((organization, service_account, user, cluster, secret_hmac)) = row else { return Ok(None) };
    let service_account = service_account.map(page::parse_column).transpose()?;
    let user = user.map(page::parse_column).transpose()?;
    let Some(owner) = owner_from(service_account, user) else { return Ok(None) };
    let scope = match cluster {
        Some(cluster) => KeyScope::Kafka(page::parse_column(cluster)?),
        None => KeyScope::Cloud,
    };
    Ok(Some(Credential { organization_id: page::parse_column(organization)?, owner, scope, secret_hmac }))
}

/// Stores a new key.
pub async fn insert(transaction: &mut Transaction, scope: &OrgScope, key: &ApiKey) -> Result<(), StoreError> {
    insert_into_organization(transaction, scope.organization_id(), key).await
}

/// Stores the first key of a new organization, when nobody could have authenticated yet.
pub async fn insert_into_organization(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    key: &ApiKey,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO api_keys (organization_id, id, owner_service_account_id, owner_user_id, cluster_id, \
             display_name, description, secret_hmac, created_at, updated_at, revision) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(organization_id.to_string()).bind(key.id.as_str())
        .bind(key.owner_service_account_id.as_ref().map(ServiceAccountId::as_str))
        .bind(key.owner_user_id.as_ref().map(UserId::as_str))
        .bind(key.cluster_id.as_ref().map(LogicalClusterId::as_str))
        .bind(key.display_name.as_str()).bind(key.description.as_str()).bind(key.secret_hmac.as_slice())
        .bind(key.created_at).bind(key.updated_at).bind(key.revision)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Reads a key.
pub async fn get(transaction: &mut Transaction, scope: &OrgScope, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
    get_with(transaction, scope, id, "").await
}

/// One key, which nobody changes until the transaction ends.
pub async fn get_and_lock(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &ApiKeyId,
) -> Result<Option<ApiKey>, StoreError> {
    let lock_rows = transaction.lock_rows();
    get_with(transaction, scope, id, lock_rows).await
}

async fn get_with(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &ApiKeyId,
    locking: &'static str,
) -> Result<Option<ApiKey>, StoreError> {
    let sql = format!("{SELECT} WHERE organization_id = $1 AND id = $2{locking}");
    let row = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(scope.organization_id().to_string()).bind(id.as_str()).fetch_optional(connection).await
    })?;
    Ok(row)
}

/// Reads one page of those that the caller sees.
pub async fn list(
    transaction: &mut Transaction,
    scope: &OrgScope,
    visible: &Visible<VisibleKeys>,
    filter: &Filter,
    request: &PageRequest,
) -> Result<Listing<ApiKey>, StoreError> {
    let mut condition = Condition::of_organization(scope);
    if let Visible::Only(keys) = visible {
        let (of_environments, environments) = is_one_of("environment_id", &keys.environments);
        condition = condition.and_any(vec![
            is_one_of("owner_service_account_id", &keys.service_accounts),
            is_one_of("owner_user_id", &keys.user),
            is_one_of("cluster_id", &keys.clusters),
            (format!("cluster_id IN (SELECT id FROM logical_clusters WHERE {of_environments})"), environments),
        ]);
    }
    if let Some(id) = &filter.owner_service_account {
        condition = condition.and("owner_service_account_id = ?", [id]);
    }
    if let Some(id) = &filter.owner_user {
        condition = condition.and("owner_user_id = ?", [id]);
    }
    condition = match &filter.resource {
        None => condition,
        Some(KeyScope::Cloud) => condition.and("cluster_id IS NULL", [""; 0]),
        Some(KeyScope::Kafka(id)) => condition.and("cluster_id = ?", [id]),
    };
    page::read(transaction, (SELECT, "api_keys"), &condition, request).await
}

/// Changes name and description.
pub async fn update(
    transaction: &mut Transaction,
    scope: &OrgScope,
    id: &ApiKeyId,
    display_name: &str,
    description: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query(
            "UPDATE api_keys SET display_name = $3, description = $4, updated_at = $5 \
             WHERE organization_id = $1 AND id = $2",
        )
        .bind(scope.organization_id().to_string()).bind(id.as_str()).bind(display_name).bind(description).bind(now.0)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Deletes a key. Says whether it was there.
pub async fn delete(transaction: &mut Transaction, scope: &OrgScope, id: &ApiKeyId) -> Result<bool, StoreError> {
    let deleted = on!(transaction, connection => {
        sqlx::query("DELETE FROM api_keys WHERE organization_id = $1 AND id = $2")
            .bind(scope.organization_id().to_string()).bind(id.as_str())
            .execute(connection).await.map(|result| result.rows_affected())
    })?;
    Ok(deleted > 0)
}

/// Keys that were deleted with their owner.
#[derive(Default)]
pub struct DeletedKeys {
    /// Where brokers must forget which key, sorted by physical cluster.
    pub announced: Vec<(PhysicalClusterId, ApiKeyId)>,
    /// The places in quotas that they gave up.
    pub shares: Vec<Share>,
}

/// Deletes every key of an owner.
pub async fn delete_of_owner(
    transaction: &mut Transaction,
    scope: &OrgScope,
    owner: &Principal,
) -> Result<DeletedKeys, StoreError> {
    let (column, id) = match owner {
        Principal::ServiceAccount(id) => ("owner_service_account_id", id.as_str()),
        Principal::User(id) => ("owner_user_id", id.as_str()),
    };
    let mut keys = delete_where(transaction, scope, column, id).await?;
    keys.sort_by(|left, right| (&left.physical_cluster_id, &left.id).cmp(&(&right.physical_cluster_id, &right.id)));
    let shares = keys.iter().flat_map(ApiKey::shares).collect();
    let announced = keys.into_iter().filter_map(|key| Some((key.physical_cluster_id?, key.id))).collect();
    Ok(DeletedKeys { announced, shares })
}

/// Deletes every key of a cluster and returns them.
pub async fn delete_of_cluster(
    transaction: &mut Transaction,
    scope: &OrgScope,
    cluster: &LogicalClusterId,
) -> Result<Vec<ApiKey>, StoreError> {
    delete_where(transaction, scope, "cluster_id", cluster.as_str()).await
}

async fn delete_where(
    transaction: &mut Transaction,
    scope: &OrgScope,
    column: &'static str,
    value: &str,
) -> Result<Vec<ApiKey>, StoreError> {
    // The row locks are taken in the order of the ids, so that two deletions never wait for each other.
    let lock_rows = transaction.lock_rows();
    let condition = format!("organization_id = $1 AND {column} = $2");
    let select = format!("{SELECT} WHERE {condition} ORDER BY id{lock_rows}");
    let organization = scope.organization_id().to_string();
    let keys = on!(&mut *transaction, connection => {
        sqlx::query_as(AssertSqlSafe(select)).bind(organization.as_str()).bind(value).fetch_all(connection).await
    })?;
    let delete = format!("DELETE FROM api_keys WHERE {condition}");
    on!(transaction, connection => {
        sqlx::query(AssertSqlSafe(delete)).bind(organization.as_str()).bind(value).execute(connection).await.map(|_| ())
    })?;
    Ok(keys)
}

/// Every key of one cluster, for the background task that announces a cluster once it is placed.
pub async fn of_cluster(
    transaction: &mut Transaction,
    cluster: &LogicalClusterId,
) -> Result<Vec<fleet::ApiKey>, StoreError> {
    let sql = format!("{SELECT} WHERE cluster_id = $1 ORDER BY id");
    let rows: Vec<ApiKey> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(cluster.as_str()).fetch_all(connection).await
    })?;
    Ok(rows.iter().filter_map(ApiKey::config_item).collect())
}

/// Notes in which revision every key of a cluster was announced.
pub async fn set_revision_of_cluster(
    transaction: &mut Transaction,
    cluster: &LogicalClusterId,
    revision: u64,
) -> Result<(), StoreError> {
    let revision = i64::try_from(revision).unwrap_or(i64::MAX);
    on!(transaction, connection => {
        sqlx::query("UPDATE api_keys SET revision = $2 WHERE cluster_id = $1")
            .bind(cluster.as_str()).bind(revision).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// One chunk of a snapshot: keys of the clusters on a physical cluster behind an id, in order.
pub async fn snapshot_chunk(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    after_id: &str,
    limit: i64,
) -> Result<Vec<fleet::ApiKey>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE cluster_id IN (SELECT id FROM logical_clusters WHERE physical_cluster_id = $1) \
         AND id > $2 ORDER BY id LIMIT $3"
    );
    let rows: Vec<ApiKey> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(physical_cluster.as_str()).bind(after_id).bind(limit).fetch_all(connection).await
    })?;
    Ok(rows.iter().filter_map(ApiKey::config_item).collect())
}

fn owner_from(service_account: Option<ServiceAccountId>, user: Option<UserId>) -> Option<Principal> {
    match (service_account, user) {
        (Some(id), _) => Some(Principal::ServiceAccount(id)),
        (None, Some(id)) => Some(Principal::User(id)),
        (None, None) => None,
    }
}
