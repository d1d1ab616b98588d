//! Moves clusters on: places those that wait for a physical cluster, calls those ready that every live broker knows,
//! and those failed whose host has failed.
//!
//! Runs at each replica, because each hears at once of what its own brokers acknowledge. Replicas do not get in each
//! other's way: a cluster moves on only from the phase that was read, under the lock of its row.
//!
//! Woken by acknowledgements, agents and new clusters; looks by itself once a second, so a lost wake-up costs a second.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millstream_api::ids::PhysicalClusterId;
use millstream_api::plan::PLANS;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::app::{Announced, App};
use crate::domain::cluster::is_provisioned;
use crate::domain::lifecycle::{LogicalEvent, LogicalPhase, PhysicalPhase};
use crate::domain::placement::Placement;
use crate::fleet::connected_agents;
use crate::fleet::placing::{PlaceError, Wanted, place};
use crate::fleet::wait::lowest_everywhere;
use crate::store::error::StoreError;
use crate::store::logical_clusters::{self, Pending};
use crate::store::{
    Transaction, api_keys, client_quotas, config_log, organizations, principals, quotas, role_bindings, shard,
};

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
    let pending = logical_clusters::on_their_way(&mut transaction, MAX_CLUSTERS_PER_LOOK).await?;
    drop(transaction);
    if pending.is_empty() {
        return Ok(());
    }
    let connected = connected_agents::connected(app).await;
    if pending.iter().any(|cluster| cluster.phase == LogicalPhase::Placing) {
        place_waiting(app, &pending, &connected).await?;
    }
    for cluster in &pending {
        move_on(app, cluster, &connected).await?;
    }
    Ok(())
}

/// Looks what happened to a cluster, and stores it; or why nothing did.
async fn move_on(app: &App, cluster: &Pending, connected: &BTreeSet<String>) -> Result<(), StoreError> {
    let event = happened(app, cluster).await;
    let next = event.and_then(|event| cluster.phase.after(event));
    let reason = match event {
        Some(LogicalEvent::HostFailed) => cluster.host_message.clone(),
        Some(LogicalEvent::Placed | LogicalEvent::Served | LogicalEvent::Overdue) => String::new(),
        None => waiting_reason(cluster, connected),
    };
    match next {
        Some(next) => move_to(app, app.database.write().await?, cluster, next, &reason).await,
        None if reason != cluster.message && cluster.phase == LogicalPhase::Provisioning => {
            let mut transaction = app.database.write().await?;
            logical_clusters::set_message(&mut transaction, cluster, &reason).await?;
            transaction.commit().await
        }
        None => Ok(()),
    }
}

async fn happened(app: &App, cluster: &Pending) -> Option<LogicalEvent> {
    if cluster.host_phase == Some(PhysicalPhase::Failed) {
        return Some(LogicalEvent::HostFailed);
    }
    is_served(app, cluster).await.then_some(LogicalEvent::Served)
}

/// Whether clients can work with it.
pub async fn is_served(app: &App, cluster: &Pending) -> bool {
    let Some(physical_cluster) = &cluster.physical_cluster_id else { return false };
    let host_is_ready = cluster.host_phase.is_none_or(|phase| phase == PhysicalPhase::Ready);
    let acknowledged = lowest_everywhere(app, physical_cluster).await;
    let revision = config_log::to_unsigned(cluster.revision);
    host_is_ready && is_provisioned(revision, acknowledged, &cluster.kafka_bootstrap_endpoint)
}

/// Why a cluster is where it is, for its owner.
fn waiting_reason(cluster: &Pending, connected: &BTreeSet<String>) -> String {
    let agent_is_gone = !cluster.agent_id.is_empty() && !connected.contains(&cluster.agent_id);
    if agent_is_gone {
        return format!("waiting for agent {}, which is not connected", cluster.agent_id);
    }
    cluster.host_message.clone()
}

/// Stores the next phase of a cluster, if it still is where it was.
pub async fn move_to(
    app: &App,
    mut transaction: Transaction,
    cluster: &Pending,
    next: LogicalPhase,
    message: &str,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    let moved = logical_clusters::transition(&mut transaction, cluster, next, message, now).await?;
    if moved && !next.is_pending() {
        quotas::give_back_in(&mut transaction, cluster.organization_id, [cluster.pending_share()]).await?;
    }
    transaction.commit().await?;
    if moved {
        let (id, took_ms) = (&cluster.id, (now.0 - cluster.phase_since) / 1_000);
        match next {
            LogicalPhase::Failed => warn!(logical_cluster = %id, took_ms, "cluster {id} has failed: {message}"),
            _ => info!(logical_cluster = %id, took_ms, "cluster {id} is {next}"),
        }
    }
    Ok(())
}

async fn place_waiting(app: &App, pending: &[Pending], connected: &BTreeSet<String>) -> Result<(), StoreError> {
    let unplaced = pending.iter().filter(|cluster| cluster.phase == LogicalPhase::Placing);
    let organizations: BTreeSet<_> = unplaced.map(|cluster| cluster.organization_id).collect();
    let mut transaction = app.database.write().await?;
    for organization in &organizations {
        organizations::lock(&mut transaction, *organization).await?;
    }
    let mut waiting = logical_clusters::lock_unplaced(&mut transaction, MAX_CLUSTERS_PER_LOOK).await?;
    // One that came meanwhile, from an organization that is not locked, waits for the next look.
    waiting.retain(|cluster| organizations.contains(&cluster.organization_id));
    // Every host before the first config log: whoever else takes both locks takes them in this order.
    let mut placed = Vec::new();
    for cluster in &waiting {
        if let Some(host) = host_for(app, &mut transaction, cluster, connected).await? {
            placed.push((cluster, host));
        }
    }
    let mut announced = Announced::new();
    for (cluster, host) in placed {
        let revision = announce_placed(app, &mut transaction, cluster, &host).await?;
        logical_clusters::set_placement(&mut transaction, cluster, &host, revision, app.clock.now()).await?;
        announced.push((host, revision));
    }
    transaction.commit().await?;
    app.agents.look_again();
    for (physical_cluster, revision) in announced {
        app.propagation.committed(&physical_cluster, revision);
    }
    Ok(())
}

async fn host_for(
    app: &App,
    transaction: &mut Transaction,
    cluster: &Pending,
    connected: &BTreeSet<String>,
) -> Result<Option<PhysicalClusterId>, StoreError> {
    let Some(kind) = PLANS.iter().map(|plan| plan.kind).find(|kind| kind.as_str() == cluster.kind) else {
        warn!(logical_cluster = %cluster.id, "cluster {} is of the unknown kind {}", cluster.id, cluster.kind);
        return Ok(None);
    };
    let wanted = Wanted { id: &cluster.id, kind, units: cluster.units, cloud: &cluster.cloud, region: &cluster.region };
    let reason = match place(transaction, &wanted, connected, app.clock.now()).await {
        Ok(Placement::On(host)) => return Ok(Some(host)),
        Ok(Placement::Wait { reason }) => reason,
        Ok(Placement::NotServed { served }) => {
            let (cloud, region) = (&cluster.cloud, &cluster.region);
            format!("no agent serves {cloud}/{region}, but for example {}", served.join(", "))
        }
        Err(PlaceError::Store(error)) => return Err(error),
        Err(PlaceError::Random(error)) => {
            warn!(error = &error as &dyn std::error::Error, "no randomness for an id");
            return Ok(None);
        }
    };
    if reason != cluster.message {
        logical_clusters::set_message(transaction, cluster, &reason).await?;
    }
    Ok(None)
}

async fn announce_placed(
    app: &App,
    transaction: &mut Transaction,
    cluster: &Pending,
    physical_cluster: &PhysicalClusterId,
) -> Result<u64, StoreError> {
    let mut changes = vec![shard::upsert_logical_cluster(cluster.config_item())];
    let bindings = role_bindings::of_organization(transaction, cluster.organization_id).await?;
    changes.extend(bindings.into_iter().map(shard::upsert_role_binding));
    let client_quotas = client_quotas::of_cluster(transaction, &cluster.id).await?;
    changes.extend(client_quotas.into_iter().map(shard::upsert_client_quota));
    changes.extend(principals::of_organization(transaction, cluster.organization_id).await?);
    let keys = api_keys::of_cluster(transaction, &cluster.id).await?;
    changes.extend(keys.into_iter().map(shard::upsert_api_key));
    let revision = config_log::append(transaction, physical_cluster, changes, app.clock.now()).await?;
    let organization = cluster.organization_id;
    role_bindings::set_revision_of_all(transaction, organization, physical_cluster, revision).await?;
    api_keys::set_revision_of_cluster(transaction, &cluster.id, revision).await?;
    Ok(revision)
}
