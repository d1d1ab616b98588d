//! Pages of a list by key: the order is (created_at, id), and a page begins beside a row, not at a number.
//!
//! Promises: a page never skips or repeats a row because others were created or deleted meanwhile.

use std::str::FromStr;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::Transaction;
use super::error::StoreError;
use crate::authentication::OrgScope;
use crate::domain::page::{Cursor, PageRequest, Position};

/// How one page is read: direction, where it begins, and how many rows.
pub struct PagePlan {
    /// Whether rows are read from the end towards the beginning.
    pub backwards: bool,
    /// Rows behind (or, backwards, before) this one.
    pub cursor: Cursor,
    /// Rows to read: one more than the page holds where it must be known whether more exist.
    pub limit: i64,
    /// Rows of the page.
    pub size: usize,
}

/// One page and what is around it.
pub struct Listing<T> {
    /// Rows of the page, in order.
    pub rows: Vec<T>,
    /// Rows on all pages.
    pub total: u64,
    /// Whether rows exist before the page.
    pub has_previous: bool,
    /// Whether rows exist behind the page.
    pub has_next: bool,
}

/// Decides how to read a page of a list with `total` rows.
pub fn plan(request: &PageRequest, total: i64) -> PagePlan {
    let size = i64::from(request.size);
    let beginning = Cursor { created_at: i64::MIN, id: String::new() };
    let end = Cursor { created_at: i64::MAX, id: String::new() };
    let (backwards, cursor, rows) = match &request.position {
        Position::First => (false, beginning, size),
        Position::After(cursor) => (false, cursor.clone(), size),
        Position::Before(cursor) => (true, cursor.clone(), size),
        Position::Last if total > 0 && total % size != 0 => (true, end, total % size),
        Position::Last => (true, end, size),
    };
    PagePlan { backwards, cursor, limit: rows + 1, size: usize::try_from(rows).unwrap_or(usize::MAX) }
}

impl PagePlan {
    /// The end of the statement: which rows, in which order. Takes the parameters `$1` to `$3`.
    pub fn sql(&self, select: &str, filter: &str) -> String {
        let (comparison, direction) = if self.backwards { ("<", "DESC") } else { (">", "ASC") };
        format!(
            "{select} WHERE {filter} AND (created_at, id) {comparison} ($1, $2) \
             ORDER BY created_at {direction}, id {direction} LIMIT $3"
        )
    }

    /// Puts the rows in order and says what is around them.
    pub fn finish<T>(self, request: &PageRequest, mut rows: Vec<T>, total: i64) -> Listing<T> {
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        if self.backwards {
            rows.reverse();
        }
        let (has_previous, has_next) = match request.position {
            Position::First => (false, more),
            Position::After(_) => (true, more),
            Position::Before(_) => (more, true),
            Position::Last => (more, false),
        };
        Listing { rows, total: u64::try_from(total).unwrap_or(0), has_previous, has_next }
    }
}

/// Which rows a list shows. Values are bound, never written into the SQL.
pub struct Condition {
    sql: String,
    values: Vec<String>,
}

impl Condition {
    /// Rows of the caller's organization: what every list begins with.
    pub fn of_organization(scope: &OrgScope) -> Self {
        Self { sql: "organization_id = ?".into(), values: vec![scope.organization_id().to_string()] }
    }

    /// Only rows that also fulfil this; each `?` stands for the next value.
    pub fn and(mut self, sql: &str, values: impl IntoIterator<Item = impl ToString>) -> Self {
        self.sql.push_str(" AND ");
        self.sql.push_str(sql);
        self.values.extend(values.into_iter().map(|value| value.to_string()));
        self
    }

    /// Only rows that also fulfil one of these.
    pub fn and_any(self, alternatives: Vec<(String, Vec<String>)>) -> Self {
        let (sql, values): (Vec<_>, Vec<_>) = alternatives.into_iter().unzip();
        let sql = if sql.is_empty() { NOTHING.to_owned() } else { format!("({})", sql.join(" OR ")) };
        self.and(&sql, values.into_iter().flatten())
    }

    fn render(&self, first_parameter: usize) -> String {
        let mut rendered = String::with_capacity(self.sql.len());
        let mut parameter = first_parameter;
        for character in self.sql.chars() {
            if character == '?' {
                rendered.push_str(&format!("${parameter}"));
                parameter += 1;
            } else {
                rendered.push(character);
            }
        }
        rendered
    }
}

/// SQL that no row fulfils.
const NOTHING: &str = "1 = 0";

/// SQL for a column that has one of some values.
pub fn is_one_of(column: &str, values: impl IntoIterator<Item = impl ToString>) -> (String, Vec<String>) {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if values.is_empty() {
        return (NOTHING.to_owned(), values);
    }
    (format!("{column} IN ({})", vec!["?"; values.len()].join(", ")), values)
}

/// Reads one page of a table.
pub async fn read<T>(
    transaction: &mut Transaction,
    (select, table): (&str, &str),
    condition: &Condition,
    request: &PageRequest,
) -> Result<Listing<T>, StoreError>
where
    T: Send + Unpin + for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow>,
{
    let count = format!("SELECT COUNT(*) FROM {table} WHERE {}", condition.render(1));
    let total: i64 = on!(&mut *transaction, connection => {
        let mut query = sqlx::query_scalar(AssertSqlSafe(count));
        for value in &condition.values {
            query = query.bind(value.as_str());
        }
        query.fetch_one(connection).await
    })?;
    let plan = plan(request, total);
    let sql = plan.sql(select, &condition.render(4));
    let rows = on!(transaction, connection => {
        let query = sqlx::query_as(AssertSqlSafe(sql));
        let mut query = query.bind(plan.cursor.created_at).bind(plan.cursor.id.as_str()).bind(plan.limit);
        for value in &condition.values {
            query = query.bind(value.as_str());
        }
        query.fetch_all(connection).await
    })?;
    Ok(plan.finish(request, rows, total))
}

/// Parses a text column into the type of its field.
pub fn parse_column<T>(text: String) -> sqlx::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
