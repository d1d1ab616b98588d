//! The objects that quotas belong to, for showing the quotas of each.

use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use crate::authentication::OrgScope;
use crate::domain::quota::QuotaScope;

/// Objects of one scope that are shown at most.
const MAX_OBJECTS: i64 = 10_000;

/// Id, environment and kind of each object of a scope, oldest first. Only clusters have the last two.
pub async fn list(
    transaction: &mut Transaction,
    caller: &OrgScope,
    scope: QuotaScope,
) -> Result<Vec<(String, Option<String>, Option<String>)>, StoreError> {
    let (columns, table) = match scope {
        QuotaScope::Organization => return Ok(Vec::new()),
        QuotaScope::Environment => ("CAST(NULL AS TEXT), CAST(NULL AS TEXT)", "environments"),
        QuotaScope::KafkaCluster => ("environment_id, kind", "logical_clusters"),
        QuotaScope::ServiceAccount => ("CAST(NULL AS TEXT), CAST(NULL AS TEXT)", "service_accounts"),
        QuotaScope::UserAccount => ("CAST(NULL AS TEXT), CAST(NULL AS TEXT)", "users"),
    };
    let sql = format!("SELECT id, {columns} FROM {table} WHERE organization_id = $1 ORDER BY created_at, id LIMIT $2");
    let rows = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(caller.organization_id().to_string()).bind(MAX_OBJECTS).fetch_all(connection).await
    })?;
    Ok(rows)
}
