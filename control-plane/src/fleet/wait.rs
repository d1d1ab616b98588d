//! Waiting until every live broker knows a change, for a bounded time.

use std::time::Duration;

use millstream_api::ids::PhysicalClusterId;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::app::{Announced, App};
use crate::store::broker_sessions;

/// How long an answer is held back for acknowledgements.
pub const ACKNOWLEDGEMENT_WAIT: Duration = Duration::from_secs(1);
/// How often brokers at other replicas are looked at while waiting.
const ELSEWHERE_POLL: Duration = Duration::from_millis(20);
/// How long an answer is held back for a caller that asks for it with `?wait=ready`.
pub const READY_WAIT: Duration = Duration::from_secs(30);
/// How often such a caller's brokers are looked at: one that became deaf, or is at another replica, wakes nobody.
const READY_POLL: Duration = Duration::from_millis(250);

/// The lowest revision among all live brokers of a physical cluster; none if there are none.
pub async fn lowest_everywhere(app: &App, physical_cluster: &PhysicalClusterId) -> Option<u64> {
    let here = app.propagation.lowest(physical_cluster);
    let Some(pool) = app.database.shared_pool() else { return here };
    match broker_sessions::lowest_elsewhere(pool, &app.replica_id, physical_cluster).await {
        Ok(elsewhere) => [here, elsewhere].into_iter().flatten().min(),
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "cannot read what brokers at other replicas know");
            here
        }
    }
}

/// Wakes the streams and waits until every live broker acknowledged, or the time is over. Says whether they all did.
pub async fn announce(app: &App, changes: &Announced) -> bool {
    for (physical_cluster, revision) in changes {
        app.propagation.committed(physical_cluster, *revision);
    }
    let deadline = Instant::now() + ACKNOWLEDGEMENT_WAIT;
    for (physical_cluster, revision) in changes {
        if !wait_for(app, physical_cluster, *revision, deadline).await {
            warn!(%physical_cluster, revision, "some brokers have not acknowledged a change in time");
            return false;
        }
    }
    true
}

async fn wait_for(app: &App, physical_cluster: &PhysicalClusterId, revision: u64, deadline: Instant) -> bool {
    let mut progress = app.propagation.progress();
    loop {
        progress.mark_unchanged();
        match lowest_everywhere(app, physical_cluster).await {
            Some(lowest) if lowest < revision => {}
            _ => return true,
        }
        if Instant::now() >= deadline {
            return false;
        }
        let next_look = match app.database.shared_pool() {
            Some(_) => deadline.min(Instant::now() + ELSEWHERE_POLL),
            None => deadline,
        };
        // Either way it is looked at again: an elapsed deadline ends the loop above.
        let _ = timeout_at(next_look, progress.changed()).await;
    }
}

/// How many live brokers have not acknowledged what was announced.
pub async fn pending(app: &App, announced: &Announced) -> u32 {
    let mut pending = 0_u64;
    for (physical_cluster, revision) in announced {
        pending += app.propagation.behind(physical_cluster, *revision) as u64;
        let Some(pool) = app.database.shared_pool() else { continue };
        match broker_sessions::behind_elsewhere(pool, &app.replica_id, physical_cluster, *revision).await {
            Ok(elsewhere) => pending += elsewhere,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "cannot read what brokers at other replicas know");
            }
        }
    }
    u32::try_from(pending).unwrap_or(u32::MAX)
}

/// Waits until every live broker acknowledged what was announced, `READY_WAIT` is over or the service stops.
pub async fn until_ready(app: &App, announced: &Announced) {
    let deadline = Instant::now() + READY_WAIT;
    let mut progress = app.propagation.progress();
    loop {
        progress.mark_unchanged();
        if pending(app, announced).await == 0 || Instant::now() >= deadline {
            return;
        }
        let next_look = deadline.min(Instant::now() + READY_POLL);
        tokio::select! {
            // Either way it is looked at again: an elapsed deadline ends the loop above.
            _ = timeout_at(next_look, progress.changed()) => {}
            () = app.shutdown.cancelled() => return,
        }
    }
}
