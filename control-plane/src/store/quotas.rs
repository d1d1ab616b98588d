//! Counters of count quotas.
//!
//! Promises: a place is taken in the transaction that makes the object, by one conditional statement, so that any
//! number of replicas together never exceed a limit; a transaction that is rolled back gives its places back. Counters
//! are changed in one order, behind every row of an object and before any config log.

use std::collections::HashMap;

use millstream_api::ids::OrganizationId;
use sqlx::AssertSqlSafe;

use super::Transaction;
use super::error::StoreError;
use crate::authentication::OrgScope;
use crate::domain::quota::{Definition, Share, Window, in_locking_order};
use crate::domain::timestamp::Timestamp;

/// Microseconds of a day.
const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// Places in use: those of another day do not count.
const USED: &str = "CASE WHEN quotas.counted_from = $4 THEN quotas.used ELSE 0 END";
/// The limit in force. A raise for one object goes before one for every object of the organization, which is stored at
/// no object.
const LIMIT: &str = "COALESCE(quotas.limit_override, (SELECT whole.limit_override FROM quotas whole \
    WHERE whole.organization_id = $1 AND whole.code = $2 AND whole.scope_id = ''), $5)";

/// Why places were not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The limit would be exceeded.
    #[error(
        "quota {} would be exceeded: {used} of {limit} are in use and this takes {amount} more; \
         delete what is not needed, or ask the operator of this installation to raise the quota",
        .quota.code
    )]
    Exceeded {
        /// The quota.
        quota: &'static Definition,
        /// Its limit, with a raise.
        limit: i64,
        /// Places in use.
        used: i64,
        /// Places that were asked for.
        amount: i64,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes places, all of them or, when the transaction is dropped on error, none.
pub async fn take(
    transaction: &mut Transaction,
    scope: &OrgScope,
    shares: impl IntoIterator<Item = Share>,
    now: Timestamp,
) -> Result<(), TakeError> {
    take_in(transaction, scope.organization_id(), shares, now).await
}

/// Takes places for an organization that has no caller yet.
pub async fn take_in(
    transaction: &mut Transaction,
    organization: OrganizationId,
    shares: impl IntoIterator<Item = Share>,
    now: Timestamp,
) -> Result<(), TakeError> {
    for share in in_locking_order(shares) {
        take_one(transaction, organization, &share, now).await?;
    }
    Ok(())
}

/// Gives places back. Those of a day stay taken.
pub async fn give_back(
    transaction: &mut Transaction,
    scope: &OrgScope,
    shares: impl IntoIterator<Item = Share>,
) -> Result<(), StoreError> {
    give_back_in(transaction, scope.organization_id(), shares).await
}

/// Gives places back. For background tasks, which have no caller.
pub async fn give_back_in(
    transaction: &mut Transaction,
    organization: OrganizationId,
    shares: impl IntoIterator<Item = Share>,
) -> Result<(), StoreError> {
    for share in in_locking_order(shares) {
        give_back_one(transaction, organization, &share).await?;
    }
    Ok(())
}

async fn give_back_one(
    transaction: &mut Transaction,
    organization: OrganizationId,
    share: &Share,
) -> Result<(), StoreError> {
    if share.quota.window == Window::Day {
        return Ok(());
    }
    // A counter that is too low must not keep anybody from deleting: the recount finds it.
    on!(transaction, connection => {
        sqlx::query(
            "UPDATE quotas SET used = CASE WHEN used < $4 THEN 0 ELSE used - $4 END \
             WHERE organization_id = $1 AND code = $2 AND scope_id = $3",
        )
        .bind(organization.to_string()).bind(share.quota.code).bind(share.scope_id.as_str()).bind(share.amount)
        .execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

/// Gives places back and takes others, in one order.
pub async fn exchange(
    transaction: &mut Transaction,
    scope: &OrgScope,
    given_back: Vec<Share>,
    taken: Vec<Share>,
    now: Timestamp,
) -> Result<(), TakeError> {
    let given_back = given_back.into_iter().map(|share| Share { amount: -share.amount, ..share });
    for share in in_locking_order(given_back.chain(taken)) {
        if share.amount > 0 {
            take_one(transaction, scope.organization_id(), &share, now).await?;
        } else {
            let freed = Share { amount: -share.amount, ..share };
            give_back_one(transaction, scope.organization_id(), &freed).await?;
        }
    }
    Ok(())
}

/// What one counter says.
pub struct Counter {
    /// Places in use.
    pub used: i64,
    /// When the day began whose creations are counted; 0 for what exists now.
    pub counted_from: i64,
    /// The limit that an operator set.
    pub limit_override: Option<i64>,
}

/// Every counter of one organization.
pub struct Counters(HashMap<(String, String), Counter>);

impl Counters {
    /// The counter of a quota and an object; none if nothing was ever counted or set there.
    pub fn get(&self, code: &str, scope_id: &str) -> Option<&Counter> {
        self.0.get(&(code.to_owned(), scope_id.to_owned()))
    }
}

/// Reads every counter of an organization.
pub async fn counters(transaction: &mut Transaction, scope: &OrgScope) -> Result<Counters, StoreError> {
    let rows: Vec<(String, String, i64, i64, Option<i64>)> = on!(transaction, connection => {
        sqlx::query_as(
            "SELECT code, scope_id, used, counted_from, limit_override FROM quotas WHERE organization_id = $1",
        )
        .bind(scope.organization_id().to_string()).fetch_all(connection).await
    })?;
    let counters = rows.into_iter().map(|(code, scope_id, used, counted_from, limit_override)| {
        ((code, scope_id), Counter { used, counted_from, limit_override })
    });
    Ok(Counters(counters.collect()))
}

/// Sets the limit of a quota for one object, or for every object of the organization; none puts the default back.
/// Says whether there is such an organization.
pub async fn set_limit(
    transaction: &mut Transaction,
    organization: OrganizationId,
    quota: &Definition,
    scope_id: &str,
    limit: Option<i64>,
) -> Result<bool, StoreError> {
    let changed = on!(transaction, connection => {
        sqlx::query(
            "INSERT INTO quotas (organization_id, code, scope_id, used, counted_from, limit_override) \
             SELECT id, $2, $3, 0, 0, $4 FROM organizations WHERE id = $1 \
             ON CONFLICT (organization_id, code, scope_id) DO UPDATE SET limit_override = excluded.limit_override",
        )
        .bind(organization.to_string()).bind(quota.code).bind(scope_id).bind(limit)
        .execute(connection).await.map(|result| result.rows_affected())
    })?;
    Ok(changed > 0)
}

/// Forgets the counters and raises of an object that is gone.
pub async fn forget(transaction: &mut Transaction, scope: &OrgScope, scope_id: &str) -> Result<(), StoreError> {
    on!(transaction, connection => {
        sqlx::query("DELETE FROM quotas WHERE organization_id = $1 AND scope_id = $2 AND scope_id <> ''")
            .bind(scope.organization_id().to_string()).bind(scope_id).execute(connection).await.map(|_| ())
    })?;
    Ok(())
}

async fn take_one(
    transaction: &mut Transaction,
    organization: OrganizationId,
    share: &Share,
    now: Timestamp,
) -> Result<(), TakeError> {
    if try_take(transaction, organization, share, now).await? {
        return Ok(());
    }
    // Either the counter does not exist yet or the limit is reached.
    let window = window_of(share.quota, now);
    on!(&mut *transaction, connection => {
        sqlx::query(
            "INSERT INTO quotas (organization_id, code, scope_id, used, counted_from) VALUES ($1, $2, $3, 0, $4) \
             ON CONFLICT (organization_id, code, scope_id) DO NOTHING",
        )
        .bind(organization.to_string()).bind(share.quota.code).bind(share.scope_id.as_str()).bind(window)
        .execute(connection).await.map(|_| ())
    })
    .map_err(StoreError::from)?;
    if try_take(transaction, organization, share, now).await? {
        return Ok(());
    }
    let sql = format!("SELECT {USED}, {LIMIT} FROM quotas WHERE organization_id = $1 AND code = $2 AND scope_id = $3");
    let (used, limit): (i64, i64) = on!(transaction, connection => {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(organization.to_string()).bind(share.quota.code).bind(share.scope_id.as_str())
            .bind(window).bind(share.limit).fetch_one(connection).await
    })
    .map_err(StoreError::from)?;
    Err(TakeError::Exceeded { quota: share.quota, limit, used, amount: share.amount })
}

/// Says whether the places were taken.
async fn try_take(
    transaction: &mut Transaction,
    organization: OrganizationId,
    share: &Share,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = format!(
        "UPDATE quotas SET used = {USED} + $6, counted_from = $4 WHERE organization_id = $1 AND code = $2 \
         AND scope_id = $3 AND {USED} + $6 <= {LIMIT}"
    );
    let taken = on!(transaction, connection => {
        sqlx::query(AssertSqlSafe(sql))
            .bind(organization.to_string()).bind(share.quota.code).bind(share.scope_id.as_str())
            .bind(window_of(share.quota, now)).bind(share.limit).bind(share.amount)
            .execute(connection).await.map(|result| result.rows_affected())
    })?;
    Ok(taken > 0)
}

/// What a counter of a day is stamped with: the time at which the day began.
pub fn window_of(quota: &Definition, now: Timestamp) -> i64 {
    match quota.window {
        Window::Present => 0,
        Window::Day => now.0.div_euclid(DAY_MICROS) * DAY_MICROS,
    }
}
