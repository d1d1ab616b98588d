//! Moves logical clusters on: places those that wait for a physical cluster, and calls those ready that every live
//! broker knows.
//!
//! Woken by acknowledgements, agents and new clusters; looks by itself once a second, so a lost wake-up costs a second.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::app::{Announced, App};
use crate::domain::cluster::is_provisioned;
use crate::domain::placement::{Placement, place};
use crate::fleet::wait::lowest_everywhere;
use crate::store::error::StoreError;
use crate::store::logical_clusters::{self, Pending};
use crate::store::{Transaction, api_keys, config_log, organizations, physical_clusters, quotas, role_bindings, shard};

/// How often the task looks without being told.
const INTERVAL: Duration = Duration::from_secs(1);
/// Clusters that one look moves on at most; the rest waits for the next.
const MAX_CLUSTERS_PER_LOOK: i64 = 500;

/// Runs until this replica stops.
pub async fn run(app: Arc<App>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut progress = app.propagation.progress();
    loop {
        tokio::select! {
            _ = app.shutdown.cancelled() => return,
            _ = app.driver_wake.notified() => {}
            _ = ticks.tick() => {}
            changed = progress.changed() => if changed.is_err() { return },
        }
        if let Err(error) = look(&app).await {
            warn!(error = &error as &dyn std::error::Error, "cannot move clusters on; trying again");
        }
    }
}

async fn look(app: &App) -> Result<(), StoreError> {
    let mut transaction = app.database.read().await?;
    let pending = logical_clusters::provisioning(&mut transaction, MAX_CLUSTERS_PER_LOOK).await?;
    drop(transaction);
    if pending.is_empty() {
        return Ok(());
    }
    if pending.iter().any(|cluster| cluster.physical_cluster_id.is_none()) {
        place_waiting(app, &pending).await?;
    }
    for cluster in &pending {
        let ready = is_ready(app, cluster).await?;
        if ready {
            let mut transaction = app.database.write().await?;
            let changed = logical_clusters::set_provisioned(&mut transaction, &cluster.id, app.clock.now()).await?;
            if !changed {
                continue;
            }
            let freed = [cluster.pending_share()];
            quotas::give_back_in(&mut transaction, cluster.organization_id, freed).await?;
            transaction.commit().await?;
            info!(logical_cluster = %cluster.id, "cluster {} is provisioned", cluster.id);
        }
    }
    Ok(())
}

async fn is_ready(app: &App, cluster: &Pending) -> Result<bool, StoreError> {
    let Some(physical_cluster) = &cluster.physical_cluster_id else { return Ok(false) };
    let acknowledged = lowest_everywhere(app, physical_cluster).await;
    let revision = config_log::to_unsigned(cluster.revision);
    Ok(is_provisioned(revision, acknowledged, &cluster.kafka_bootstrap_endpoint))
}

async fn place_waiting(app: &App, pending: &[Pending]) -> Result<(), StoreError> {
    let unplaced = pending.iter().filter(|cluster| cluster.physical_cluster_id.is_none());
    let organizations: BTreeSet<_> = unplaced.map(|cluster| cluster.organization_id).collect();
    let mut transaction = app.database.write().await?;
    for organization in &organizations {
        organizations::lock(&mut transaction, *organization).await?;
    }
    let mut waiting = logical_clusters::lock_unplaced(&mut transaction, MAX_CLUSTERS_PER_LOOK).await?;
    // One that came meanwhile, from an organization that is not locked, waits for the next look.
    waiting.retain(|cluster| organizations.contains(&cluster.organization_id));
    let mut candidates = physical_clusters::candidates(&mut transaction).await?;
    let mut announced = Announced::new();
    for cluster in &waiting {
        let Placement::On(physical_cluster) = place(&cluster.cloud, &cluster.region, &candidates) else { continue };
        let revision = announce_placed(app, &mut transaction, cluster, &physical_cluster).await?;
        logical_clusters::set_placement(&mut transaction, &cluster.id, &physical_cluster, revision).await?;
        if let Some(chosen) = candidates.iter_mut().find(|candidate| candidate.id == physical_cluster) {
            chosen.logical_clusters += 1;
        }
        announced.push((physical_cluster, revision));
    }
    transaction.commit().await?;
    for (physical_cluster, revision) in announced {
        app.propagation.committed(&physical_cluster, revision);
    }
    Ok(())
}

async fn announce_placed(
    app: &App,
    transaction: &mut Transaction,
    cluster: &Pending,
    physical_cluster: &millstream_api::ids::PhysicalClusterId,
) -> Result<u64, StoreError> {
    let mut changes = vec![shard::upsert_logical_cluster(cluster.config_item())];
    let bindings = role_bindings::of_organization(transaction, cluster.organization_id).await?;
    changes.extend(bindings.into_iter().map(shard::upsert_role_binding));
    let keys = api_keys::of_cluster(transaction, &cluster.id).await?;
    changes.extend(keys.into_iter().map(shard::upsert_api_key));
    config_log::append(transaction, physical_cluster, changes, app.clock.now()).await
}
