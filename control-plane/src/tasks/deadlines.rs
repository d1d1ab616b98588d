//! Gives up clusters that stay for too long in a phase that they should leave, and calls for a person where nothing else
//! helps.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, warn};

use super::driver;
use super::leased::Work;
use crate::app::App;
use crate::domain::lifecycle::{LogicalEvent, PhysicalEvent, PhysicalPhase, is_overdue};
use crate::domain::timestamp::Timestamp;
use crate::store::logical_clusters::{self, Pending};
use crate::store::physical_clusters::{self, OnItsWay};
use crate::store::work_leases::{Lease, WorkError};

/// Deadlines are an hour or so: nobody misses half a minute.
pub const WORK: Work = Work { name: "deadlines", interval: Duration::from_secs(30) };
/// Clusters of each kind that are looked at in one go; the rest waits for the next.
const MAX_CLUSTERS: i64 = 500;

/// Looks at every cluster that is on its way.
pub async fn enforce(app: Arc<App>, lease: Lease) -> Result<(), WorkError> {
    let mut transaction = app.database.read().await?;
    let logical = logical_clusters::on_their_way(&mut transaction, MAX_CLUSTERS).await?;
    let physical = physical_clusters::on_their_way(&mut transaction, MAX_CLUSTERS).await?;
    drop(transaction);
    let now = app.clock.now();
    let is_late = |cluster: &&OnItsWay| is_overdue(Timestamp(cluster.phase_since), now, cluster.phase.limit());
    for cluster in physical.iter().filter(is_late) {
        give_up_physical(&app, &lease, cluster).await?;
    }
    let is_late = |cluster: &&Pending| is_overdue(Timestamp(cluster.phase_since), now, cluster.phase.limit());
    for cluster in logical.iter().filter(is_late) {
        give_up_logical(&app, &lease, cluster).await?;
    }
    Ok(())
}

async fn give_up_physical(app: &App, lease: &Lease, cluster: &OnItsWay) -> Result<(), WorkError> {
    let OnItsWay { id, agent_id, phase, .. } = cluster;
    let minutes = phase.limit().unwrap_or_default().as_secs() / 60;
    let Some(next) = phase.after(PhysicalEvent::Overdue) else {
        error!(physical_cluster = %id, agent_id, "physical cluster {id} is {phase} for more than {minutes} minutes");
        return Ok(());
    };
    let message = format!("agent {agent_id} did not make it ready within {minutes} minutes");
    warn!(physical_cluster = %id, agent_id, "giving up physical cluster {id}: {message}");
    let mut transaction = lease.write(&app.database).await?;
    physical_clusters::set_overdue(&mut transaction, cluster, next, &message, app.clock.now()).await?;
    Ok(transaction.commit().await?)
}

/// The driver knows better what to do with a cluster that is served or has lost its host, however late.
async fn give_up_logical(app: &App, lease: &Lease, cluster: &Pending) -> Result<(), WorkError> {
    let is_for_driver = cluster.host_phase == Some(PhysicalPhase::Failed) || driver::is_served(app, cluster).await;
    let next = cluster.phase.after(LogicalEvent::Overdue).filter(|_| !is_for_driver);
    let Some(next) = next else { return Ok(()) };
    let minutes = cluster.phase.limit().unwrap_or_default().as_secs() / 60;
    let cause = match cluster.message.as_str() {
        "" => "its brokers did not answer",
        message => message,
    };
    let reason = format!("not ready within {minutes} minutes: {cause}");
    let transaction = lease.write(&app.database).await?;
    Ok(driver::move_to(app, transaction, cluster, next, &reason).await?)
}
