//! Counts again what the quota counters count, names those that are wrong, and puts them right.
//!
//! Promises: what is found is wrong for sure: one state of the database is read, in which counters and rows belong
//! together. A repair counts behind the lock of the counter, which everybody who makes or deletes an object takes in the
//! same transaction: nothing is counted twice or missed.

use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use crate::domain::quota::{self, Definition};

/// Wrong counters that are found at a time at most.
const MAX_MISCOUNTS: i64 = 100;

/// What a quota of the present counts.
struct Counted {
    quota: &'static Definition,
    /// Column of the object that the quota belongs to, or an empty text for the organization.
    scope_id: &'static str,
    table: &'static str,
    /// Which rows.
    condition: &'static str,
}

const fn counted(
    quota: &'static Definition,
    scope_id: &'static str,
    table: &'static str,
    condition: &'static str,
) -> Counted {
    Counted { quota, scope_id, table, condition }
}

const COUNTED: &[Counted] = &[
    counted(&quota::ENVIRONMENTS, "''", "environments", "TRUE"),
    counted(&quota::SERVICE_ACCOUNTS, "''", "service_accounts", "TRUE"),
    counted(&quota::USERS, "''", "users", "TRUE"),
    counted(&quota::CLUSTERS, "''", "logical_clusters", "TRUE"),
    counted(&quota::CLUSTERS_OF_ENVIRONMENT, "environment_id", "logical_clusters", "TRUE"),
    counted(
        &quota::PENDING_CLUSTERS_OF_ENVIRONMENT,
        "environment_id",
        "logical_clusters",
        "phase IN ('PLACING', 'PROVISIONING')",
    ),
    counted(&quota::CKUS_OF_ENVIRONMENT, "environment_id", "logical_clusters", "kind = 'Dedicated'"),
    counted(&quota::CKUS_OF_CLUSTER, "id", "logical_clusters", "kind = 'Dedicated'"),
    counted(&quota::CLIENT_QUOTAS_OF_CLUSTER, "cluster_id", "client_quotas", "TRUE"),
    counted(&quota::CLOUD_KEYS, "''", "api_keys", "cluster_id IS NULL"),
    counted(&quota::KEYS_OF_CLUSTER, "cluster_id", "api_keys", "cluster_id IS NOT NULL"),
    counted(
        &quota::CLOUD_KEYS_OF_SERVICE_ACCOUNT,
        "owner_service_account_id",
        "api_keys",
        "cluster_id IS NULL AND owner_service_account_id IS NOT NULL",
    ),
    counted(
        &quota::CLUSTER_KEYS_OF_SERVICE_ACCOUNT,
        "owner_service_account_id",
        "api_keys",
        "cluster_id IS NOT NULL AND owner_service_account_id IS NOT NULL",
    ),
    counted(
        &quota::CLOUD_KEYS_OF_USER,
        "owner_user_id",
        "api_keys",
        "cluster_id IS NULL AND owner_user_id IS NOT NULL",
    ),
    counted(
        &quota::CLUSTER_KEYS_OF_USER,
        "owner_user_id",
        "api_keys",
        "cluster_id IS NOT NULL AND owner_user_id IS NOT NULL",
    ),
    counted(&quota::ROLE_BINDINGS, "''", "role_bindings", "TRUE"),
    counted(&quota::ROLE_BINDINGS_ABOVE_CLUSTERS, "''", "role_bindings", "cluster_id IS NULL"),
    counted(&quota::ROLE_BINDINGS_OF_CLUSTER, "cluster_id", "role_bindings", "cluster_id IS NOT NULL"),
];

impl Counted {
    /// What is added up over the rows.
    fn aggregate(&self) -> &'static str {
        let counts_ckus = [quota::CKUS_OF_ENVIRONMENT.code, quota::CKUS_OF_CLUSTER.code].contains(&self.quota.code);
        if counts_ckus { "SUM(units)" } else { "COUNT(*)" }
    }
}

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

/// The counters that are wrong, of every organization.
pub async fn find_miscounts(transaction: &mut Transaction) -> Result<Vec<Miscount>, StoreError> {
    let codes: Vec<String> = COUNTED.iter().map(|counted| format!("'{}'", counted.quota.code)).collect();
    let mut parts = vec![format!(
        "SELECT organization_id, code, scope_id, 0 AS counted, used FROM quotas WHERE code IN ({})",
        codes.join(", ")
    )];
    for counted in COUNTED {
        let (Counted { quota, scope_id, table, condition }, aggregate) = (counted, counted.aggregate());
        parts.push(format!(
            "SELECT organization_id, '{}', {scope_id}, {aggregate}, 0 FROM {table} WHERE {condition} \
             GROUP BY organization_id, {scope_id}",
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

/// Counts again behind the lock of the counter and puts it right. Says what was wrong; none if it is right by now.
pub async fn repair(transaction: &mut Transaction, found: &Miscount) -> Result<Option<Miscount>, StoreError> {
    let Some(rule) = COUNTED.iter().find(|counted| counted.quota.code == found.code) else { return Ok(None) };
    let Miscount { organization_id, code, scope_id, .. } = found;
    let used = lock_counter(transaction, found).await?;
    let (Counted { scope_id: column, table, condition, .. }, aggregate) = (rule, rule.aggregate());
    let sql = format!(
        "SELECT CAST(COALESCE({aggregate}, 0) AS BIGINT) FROM {table} \
         WHERE organization_id = $1 AND {column} = $2 AND {condition}"
    );
    let counted: i64 = on!(&mut *transaction, connection => {
        sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(organization_id.as_str()).bind(scope_id.as_str()).fetch_one(connection).await
    })?;
    if counted == used {
        return Ok(None);
    }
    on!(transaction, connection => {
        sqlx::query("UPDATE quotas SET used = $4 WHERE organization_id = $1 AND code = $2 AND scope_id = $3")
            .bind(organization_id.as_str()).bind(code.as_str()).bind(scope_id.as_str()).bind(counted)
            .execute(connection).await.map(|_| ())
    })?;
    Ok(Some(Miscount { counted, used, ..found.clone() }))
}

/// Takes the lock of a counter, which is made if it is missing, and reads it.
async fn lock_counter(transaction: &mut Transaction, found: &Miscount) -> Result<i64, StoreError> {
    let Miscount { organization_id, code, scope_id, .. } = found;
    let used = on!(transaction, connection => {
        sqlx::query_scalar(
            "INSERT INTO quotas (organization_id, code, scope_id, used, counted_from) VALUES ($1, $2, $3, 0, 0) \
             ON CONFLICT (organization_id, code, scope_id) DO UPDATE SET counted_from = 0 RETURNING used",
        )
        .bind(organization_id.as_str()).bind(code.as_str()).bind(scope_id.as_str()).fetch_one(connection).await
    })?;
    Ok(used)
}
