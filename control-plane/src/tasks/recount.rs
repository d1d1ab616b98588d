//! Compares the quota counters with what there is, now and then, and raises an alarm when one is wrong.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};

use crate::app::App;
use crate::store::error::StoreError;
use crate::store::quota_recount::{Miscount, find_miscounts};

/// How often counters are compared. It reads every row of an organization's objects, so not often.
const INTERVAL: Duration = Duration::from_secs(600);

/// Runs until this replica stops.
pub async fn run(app: Arc<App>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = app.shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match recount(&app).await {
            Ok(miscounts) => miscounts.iter().for_each(raise_alarm),
            Err(error) => warn!(error = &error as &dyn std::error::Error, "cannot count quotas again; trying later"),
        }
    }
}

/// The counters that are wrong.
pub async fn recount(app: &App) -> Result<Vec<Miscount>, StoreError> {
    let mut transaction = app.database.read().await?;
    find_miscounts(&mut transaction).await
}

fn raise_alarm(miscount: &Miscount) {
    let Miscount { organization_id, code, scope_id, counted, used } = miscount;
    error!(
        organization_id,
        quota.code = code,
        quota.scope_id = scope_id,
        counted,
        used,
        "the counter of quota {code} says {used} but {counted} exist: a change forgot to count"
    );
}
