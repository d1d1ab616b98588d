//! Work that one replica does for all: whoever holds the lease of it.
//!
//! Promises: as long as replicas and the database live, the work is done, at the latest ten seconds after its holder
//! died. It may begin twice when a holder was paused for longer, and is written once: see `store::work_leases`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::app::App;
use crate::store::work_leases::{self, Lease, WorkError};

/// How often each replica looks whether a lease is its own or free.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How long after a failure the work is done again at the latest.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// Some work.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// Names its lease.
    pub name: &'static str,
    /// How often it is done.
    pub interval: Duration,
}

/// Does the work again and again while this replica holds the lease, until it stops. A new holder begins at once.
pub async fn run<F>(app: Arc<App>, work: Work, act: impl Fn(Arc<App>, Lease) -> F)
where
    F: Future<Output = Result<(), WorkError>>,
{
    let Work { name, interval: pause } = work;
    let mut looks = interval(LOOK_INTERVAL.min(pause));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = None;
    loop {
        tokio::select! {
            _ = app.shutdown.cancelled() => return,
            _ = looks.tick() => {}
        }
        let lease = match work_leases::take(&app.database, name, &app.replica_id).await {
            Ok(Some(lease)) => lease,
            Ok(None) => {
                due = None;
                continue;
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "cannot look who does the work {name}; trying again");
                continue;
            }
        };
        if due.is_some_and(|due| Instant::now() < due) {
            continue;
        }
        due = match act(Arc::clone(&app), lease).await {
            Ok(()) => Some(Instant::now() + pause),
            Err(WorkError::LeaseLost { .. }) => {
                info!("another replica has taken over the work {name}");
                None
            }
            Err(WorkError::Store(error)) => {
                warn!(error = &error as &dyn std::error::Error, "cannot do the work {name}; trying again");
                Some(Instant::now() + RETRY_DELAY.min(pause))
            }
        };
    }
}
