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
