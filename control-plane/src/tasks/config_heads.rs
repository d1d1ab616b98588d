//! Looks where the config logs stand, once for all streams of this replica, and says of all brokers here that they live.
//!
//! A thousand streams cost the database two statements, not thousands. Promises: a revision that nobody told of (another
//! replica's, or one whose commit failed to say so) reaches the streams within `LOOK_INTERVAL`, also when the database
//! comes back. Records brokers only where other replicas wait for them (PostgreSQL).

use std::sync::Arc;
use std::time::Duration;

use millstream_api::fleet::HEARTBEAT_INTERVAL_MS;
use millstream_api::ids::PhysicalClusterId;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::app::App;
use crate::store::error::StoreError;
use crate::store::{broker_sessions, config_log, installation};

/// How often the logs are looked at. Less than an answer waits for acknowledgements.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How often brokers are recorded as alive.
const RECORD_INTERVAL: Duration = Duration::from_millis(HEARTBEAT_INTERVAL_MS);

/// Runs until this replica stops.
pub async fn run(app: Arc<App>) {
    let (mut looks, mut records) = (interval(LOOK_INTERVAL), interval(RECORD_INTERVAL));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    records.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut epoch, mut is_away) = (0, false);
    loop {
        let done = tokio::select! {
            _ = app.shutdown.cancelled() => return,
            _ = looks.tick() => look(&app, &mut epoch).await,
            _ = records.tick() => record(&app).await,
        };
        // Said once: an outage is no reason to fill the log.
        match &done {
            Err(error) if !is_away => {
                warn!(error = error as &dyn std::error::Error, "cannot read where the config logs stand; trying again");
            }
            Ok(()) if is_away => info!("config logs can be read again"),
            _ => {}
        }
        is_away = done.is_err();
    }
}

async fn look(app: &App, known_epoch: &mut u64) -> Result<(), StoreError> {
    let connected = app.propagation.connected();
    if connected.is_empty() {
        return Ok(());
    }
    let (epoch, heads) = heads(app, &connected).await?;
    for (physical_cluster, revision) in &heads {
        app.propagation.committed(physical_cluster, *revision);
    }
    if epoch != *known_epoch {
        *known_epoch = epoch;
        app.propagation.everybody_look_again();
    }
    Ok(())
}

async fn heads(app: &App, connected: &[PhysicalClusterId]) -> Result<(u64, Vec<(PhysicalClusterId, u64)>), StoreError> {
    if let Some(pool) = app.database.shared_pool() {
        return config_log::heads(pool, connected).await;
    }
    let mut transaction = app.database.read().await?;
    let epoch = installation::epoch(&mut transaction).await?;
    let mut heads = Vec::with_capacity(connected.len());
    for physical_cluster in connected {
        let state = config_log::state(&mut transaction, physical_cluster).await?;
        heads.extend(state.map(|state| (physical_cluster.clone(), state.head)));
    }
    Ok((epoch, heads))
}

async fn record(app: &App) -> Result<(), StoreError> {
    let Some(pool) = app.database.shared_pool() else { return Ok(()) };
    let listening = app.propagation.listening();
    if listening.is_empty() {
        return Ok(());
    }
    broker_sessions::record(pool, &app.replica_id, &listening).await?;
    // Whoever left meanwhile may have been forgotten just before it was recorded again.
    let gone: Vec<&str> = listening
        .iter()
        .filter(|session| !app.propagation.listens(session))
        .map(|session| session.id.as_str())
        .collect();
    if gone.is_empty() { Ok(()) } else { broker_sessions::remove(pool, &gone).await }
}
