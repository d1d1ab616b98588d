//! Deletes what deleted logical clusters had on this physical cluster.
//!
//! Promises: a deletion that was said is carried out, also when the broker restarts in between; it is tried again
//! until it succeeds. Never deletes because something is absent: only because the control plane said so.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::broker::Broker;
use crate::topics;

/// Pause before a deletion that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Carries out deletions until `shutdown` fires.
pub(crate) async fn run(broker: Arc<Broker>, shutdown: CancellationToken) {
    loop {
        let all_done = delete_pending(&broker, &shutdown).await;
        let retry = async { if all_done { std::future::pending().await } else { tokio::time::sleep(RETRY).await } };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = broker.fleet.deletions.notified() => {}
            () = retry => {}
        }
    }
}

async fn delete_pending(broker: &Arc<Broker>, shutdown: &CancellationToken) -> bool {
    let mut all_done = true;
    for tenant in broker.tenants.pending_deletions() {
        if shutdown.is_cancelled() {
            return false;
        }
        if let Err(error) = topics::delete_tenant(broker, &tenant).await {
            error!(tenant = %tenant, "cannot delete what a deleted logical cluster had here: {error}; trying again");
            all_done = false;
            continue;
        }
        broker.metrics.forget(&tenant);
        broker.quotas.forget(&tenant);
        broker.tenants.deletion_done(&tenant);
        let tenants = Arc::clone(&broker.tenants);
        let persisted = tokio::task::spawn_blocking(move || tenants.persist()).await;
        if let Ok(Err(error)) = persisted {
            warn!("cannot note a finished deletion: {error}; it is repeated after a restart, which is harmless");
        }
    }
    all_done
}
