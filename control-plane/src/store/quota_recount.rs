//! Counts again what the quota counters count, and names those that are wrong.
//!
//! Promises: reads one state of the database, in which counters and rows belong together, so what it names is wrong for
//! sure. Never repairs: a wrong counter is a bug that somebody should look at.

use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use crate::domain::quota;

/// Wrong counters that are named at most.
const MAX_MISCOUNTS: i64 = 100;

/// What each quota of the present counts: code, column of the object that it belongs to, table, and which rows.
const COUNTED: &[(&quota::Definition, &str, &str)] = &[
    (&quota::ENVIRONMENTS, "''", "environments"),
    (&quota::SERVICE_ACCOUNTS, "''", "service_accounts"),
    (&quota::USERS, "''", "users"),
    (&quota::CLUSTERS, "''", "logical_clusters"),
    (&quota::CLUSTERS_OF_ENVIRONMENT, "environment_id", "logical_clusters"),
    (
        &quota::PENDING_CLUSTERS_OF_ENVIRONMENT,
        "environment_id",
        "logical_clusters WHERE phase IN ('PLACING', 'PROVISIONING')",
    ),
    (&quota::CKUS_OF_ENVIRONMENT, "environment_id", "logical_clusters WHERE kind = 'Dedicated'"),
    (&quota::CKUS_OF_CLUSTER, "id", "logical_clusters WHERE kind = 'Dedicated'"),
    (&quota::CLIENT_QUOTAS_OF_CLUSTER, "cluster_id", "client_quotas"),
    (&quota::CLOUD_KEYS, "''", "api_keys WHERE cluster_id IS NULL"),
    (&quota::KEYS_OF_CLUSTER, "cluster_id", "api_keys WHERE cluster_id IS NOT NULL"),
    (
        &quota::CLOUD_KEYS_OF_SERVICE_ACCOUNT,
        "owner_service_account_id",
        "api_keys WHERE cluster_id IS NULL AND owner_service_account_id IS NOT NULL",
    ),
    (
        &quota::CLUSTER_KEYS_OF_SERVICE_ACCOUNT,
        "owner_service_account_id",
        "api_keys WHERE cluster_id IS NOT NULL AND owner_service_account_id IS NOT NULL",
    ),
    (&quota::CLOUD_KEYS_OF_USER, "owner_user_id", "api_keys WHERE cluster_id IS NULL AND owner_user_id IS NOT NULL"),
    (
        &quota::CLUSTER_KEYS_OF_USER,
        "owner_user_id",
        "api_keys WHERE cluster_id IS NOT NULL AND owner_user_id IS NOT NULL",
    ),
    (&quota::ROLE_BINDINGS, "''", "role_bindings"),
    (&quota::ROLE_BINDINGS_ABOVE_CLUSTERS, "''", "role_bindings WHERE cluster_id IS NULL"),
    (&quota::ROLE_BINDINGS_OF_CLUSTER, "cluster_id", "role_bindings WHERE cluster_id IS NOT NULL"),
];

/// A counter that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miscount {
    /// The organization.
    pub organization_id: String,
    /// The quota.
    pub code: String,
    /// The object that it belongs to; empty for the organization.
    pub scope_id: String,
    /// What there is.
    pub counted: i64,
    /// What the counter says.
    pub used: i64,
}

/// Every counter that is wrong, of every organization.
pub async fn find_miscounts(transaction: &mut Transaction) -> Result<Vec<Miscount>, StoreError> {
    let codes: Vec<String> = COUNTED.iter().map(|(quota, _, _)| format!("'{}'", quota.code)).collect();
    let mut parts = vec![format!(
        "SELECT organization_id, code, scope_id, 0 AS counted, used FROM quotas WHERE code IN ({})",
        codes.join(", ")
    )];
    for (quota, scope_id, rows) in COUNTED {
        let counts_ckus = quota.code == quota::CKUS_OF_ENVIRONMENT.code || quota.code == quota::CKUS_OF_CLUSTER.code;
        let count = if counts_ckus { "SUM(units)" } else { "COUNT(*)" };
        parts.push(format!(
            "SELECT organization_id, '{}', {scope_id}, {count}, 0 FROM {rows} GROUP BY organization_id, {scope_id}",
            quota.code
        ));
    }
    // Grouping by a literal is refused by PostgreSQL; there the organization alone is the group.
    let union = parts.join(" UNION ALL ").replace("GROUP BY organization_id, ''", "GROUP BY organization_id");
    let sql = format!(
        "SELECT organization_id, code, scope_id, CAST(SUM(counted) AS BIGINT), CAST(SUM(used) AS BIGINT) \
         FROM ({union}) AS counts GROUP BY organization_id, code, scope_id HAVING SUM(counted) <> SUM(used) \
         ORDER BY organization_id, code, scope_id LIMIT $1"
    );
    let rows: Vec<(String, String, String, i64, i64)> = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(MAX_MISCOUNTS).fetch_all(connection).await
    })?;
    let miscounts = rows.into_iter().map(|(organization_id, code, scope_id, counted, used)| Miscount {
        organization_id,
        code,
        scope_id,
        counted,
        used,
    });
    Ok(miscounts.collect())
}
