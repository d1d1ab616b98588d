//! Removes what has lived long enough: audit events, remembered POSTs, sessions, brokers of crashed replicas, and config
//! events that no broker needs any more.

use std::sync::Arc;
use std::time::Duration;

use super::leased::Work;
use crate::app::App;
use crate::domain::timestamp::{Clock, Timestamp};
use crate::store::audit_events::{self, MAX_ROWS_PER_CLEAN_UP};
use crate::store::work_leases::{Lease, WorkError};
use crate::store::{broker_sessions, config_log, idempotency, recent_posts, sessions};

/// How often it is looked for.
pub const WORK: Work = Work { name: "clean-up", interval: Duration::from_secs(60) };

/// Removes all of it.
pub async fn remove_old(app: Arc<App>, lease: Lease) -> Result<(), WorkError> {
    let now = app.clock.now();
    let mut transaction = lease.write(&app.database).await?;
    recent_posts::clean_up(&mut transaction, now).await?;
    idempotency::clean_up(&mut transaction, now).await?;
    sessions::clean_up(&mut transaction, now).await?;
    broker_sessions::clean_up(&mut transaction).await?;
    transaction.commit().await?;
    remove_config_events(&app, &lease).await?;
    remove_audit_events(&app, &lease).await
}

async fn remove_config_events(app: &App, lease: &Lease) -> Result<(), WorkError> {
    let mut transaction = app.database.read().await?;
    let logs = config_log::longer_than_kept(&mut transaction).await?;
    drop(transaction);
    for (physical_cluster, newest_to_remove) in logs {
        let mut transaction = lease.write(&app.database).await?;
        config_log::remove_up_to(&mut transaction, &physical_cluster, newest_to_remove).await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn remove_audit_events(app: &App, lease: &Lease) -> Result<(), WorkError> {
    let before = oldest_kept(app.clock, app.audit_retention_days);
    loop {
        let mut transaction = lease.write(&app.database).await?;
        let removed = audit_events::clean_up(&mut transaction, before).await?;
        transaction.commit().await?;
        let all_removed = removed < u64::try_from(MAX_ROWS_PER_CLEAN_UP).unwrap_or(u64::MAX);
        if all_removed || app.shutdown.is_cancelled() {
            return Ok(());
        }
    }
}

fn oldest_kept(clock: Clock, days: u32) -> Timestamp {
    const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;
    Timestamp(clock.now().0.saturating_sub(i64::from(days) * MICROS_PER_DAY))
}
