//! The audit log. Rows are only added, read, and after their time removed.

use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use super::page::{self, Listing};
use crate::authentication::OrgScope;
use crate::domain::page::PageRequest;
use crate::domain::timestamp::Timestamp;

/// Rows of one statement at most.
pub const MAX_ROWS_PER_INSERT: usize = 64;
/// Rows that one clean-up removes at most.
pub const MAX_ROWS_PER_CLEAN_UP: i64 = 5_000;

const COLUMNS: &str = "id, organization_id, created_at, principal, credential_id, address, user_agent, operation_id, \
                       method, path, resource_id, resource_name, status, error_code";
const COLUMN_COUNT: usize = 14;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Id of the request.
    pub id: String,
    /// Organization of the caller, if it was authenticated.
    pub organization_id: Option<String>,
    /// When the request arrived.
    pub created_at: i64,
    /// Who called.
    pub principal: String,
    /// With what.
    pub credential_id: String,
    /// From where.
    pub address: String,
    /// What the client called itself.
    pub user_agent: String,
    /// Which operation.
    pub operation_id: String,
    /// Method of the request.
    pub method: String,
    /// Path of the request.
    pub path: String,
    /// Id of the object.
    pub resource_id: String,
    /// CRN of the object.
    pub resource_name: String,
    /// Status of the answer.
    pub status: i64,
    /// Code of the error.
    pub error_code: String,
}

from_row!(AuditEvent {
    plain: [
        id,
        organization_id,
        created_at,
        principal,
        credential_id,
        address,
        user_agent,
        operation_id,
        method,
        path,
        resource_id,
        resource_name,
        status,
        error_code,
    ],
    parsed: [],
    optional: [],
});

/// Which events a caller asks for. An empty filter takes all of its organization.
#[derive(Debug, Default)]
pub struct Filter {
    /// Of this principal.
    pub principal: Option<String>,
    /// Made with this credential.
    pub credential_id: Option<String>,
    /// Of this operation.
    pub operation_id: Option<String>,
    /// About this object.
    pub resource_id: Option<String>,
    /// Answered with this status.
    pub status: Option<i64>,
    /// At this time or later.
    pub from: Option<i64>,
    /// Before this time.
    pub until: Option<i64>,
}

/// Adds events, at most `MAX_ROWS_PER_INSERT`.
pub async fn insert(transaction: &mut Transaction, events: &[&AuditEvent]) -> Result<(), StoreError> {
    let row = |row: usize| {
        let places: Vec<String> =
            (1..=COLUMN_COUNT).map(|column| format!("${}", row * COLUMN_COUNT + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..events.len()).map(row).collect();
    // A batch whose commit was answered with an error may be there already.
    let sql = format!("INSERT INTO audit_events ({COLUMNS}) VALUES {} ON CONFLICT (id) DO NOTHING", rows.join(", "));
    on!(transaction, connection => {
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(events.len() == MAX_ROWS_PER_INSERT);
        for event in events {
            query = query
                .bind(event.id.as_str()).bind(event.organization_id.as_deref()).bind(event.created_at)
                .bind(event.principal.as_str()).bind(event.credential_id.as_str()).bind(event.address.as_str())
                .bind(event.user_agent.as_str()).bind(event.operation_id.as_str()).bind(event.method.as_str())
                .bind(event.path.as_str()).bind(event.resource_id.as_str()).bind(event.resource_name.as_str())
                .bind(event.status).bind(event.error_code.as_str());
        }
        query.execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// One event of the organization.
pub async fn get(transaction: &mut Transaction, scope: &OrgScope, id: &str) -> Result<Option<AuditEvent>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM audit_events WHERE organization_id = $1 AND id = $2");
    let row = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql)).bind(scope.organization_id().to_string()).bind(id)
            .fetch_optional(connection).await
    })?;
    Ok(row)
}

/// One page of the organization's events. They are not counted: there may be very many.
pub async fn list(
    transaction: &mut Transaction,
    scope: &OrgScope,
    filter: &Filter,
    request: &PageRequest,
) -> Result<Listing<AuditEvent>, StoreError> {
    const NOT_COUNTED: i64 = 0;
    let plan = page::plan(request, NOT_COUNTED);
    let select = format!("SELECT {COLUMNS} FROM audit_events");
    let sql = plan.sql(
        &select,
        "organization_id = $4 \
         AND (CAST($5 AS TEXT) IS NULL OR principal = $5) \
         AND (CAST($6 AS TEXT) IS NULL OR credential_id = $6) \
         AND (CAST($7 AS TEXT) IS NULL OR operation_id = $7) \
         AND (CAST($8 AS TEXT) IS NULL OR resource_id = $8) \
         AND (CAST($9 AS BIGINT) IS NULL OR status = $9) \
         AND created_at >= $10 AND created_at < $11",
    );
    let rows = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(plan.cursor.created_at).bind(plan.cursor.id.as_str()).bind(plan.limit)
            .bind(scope.organization_id().to_string())
            .bind(filter.principal.as_deref()).bind(filter.credential_id.as_deref())
            .bind(filter.operation_id.as_deref()).bind(filter.resource_id.as_deref()).bind(filter.status)
            .bind(filter.from.unwrap_or(i64::MIN)).bind(filter.until.unwrap_or(i64::MAX))
            .fetch_all(connection).await
    })?;
    Ok(plan.finish(request, rows, NOT_COUNTED))
}

/// Removes some of the events that are older. Says how many.
pub async fn clean_up(transaction: &mut Transaction, before: Timestamp) -> Result<u64, StoreError> {
    let removed = on!(transaction, connection => {
        sqlx::query(
            "DELETE FROM audit_events WHERE id IN \
             (SELECT id FROM audit_events WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
        )
        .bind(before.0).bind(MAX_ROWS_PER_CLEAN_UP).execute(connection).await.map(|done| done.rows_affected())
    })?;
    Ok(removed)
}
