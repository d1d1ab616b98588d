//! Looks where the config logs stand, once for all streams of this replica, and says of all brokers here that they live.
//!
//! Only where other replicas may commit (PostgreSQL). A thousand streams cost the database two statements, not
//! thousands. Promises: a revision that nobody told of reaches the streams within `LOOK_INTERVAL`, also when the
//! database comes back.

use std::sync::Arc;
use std::time::Duration;

use millstream_api::fleet::HEARTBEAT_INTERVAL_MS;
use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::app::App;
use crate::store::error::StoreError;
use crate::store::{broker_sessions, config_log};

/// How often the logs are looked at. Less than an answer waits for acknowledgements.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How often brokers are recorded as alive.
const RECORD_INTERVAL: Duration = Duration::from_millis(HEARTBEAT_INTERVAL_MS);

/// Runs until this replica stops.
pub async fn run(app: Arc<App>, pool: PgPool) {
    let (mut looks, mut records) = (interval(LOOK_INTERVAL), interval(RECORD_INTERVAL));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    records.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut epoch, mut is_away) = (0, false);
    loop {
        let done = tokio::select! {
            _ = app.shutdown.cancelled() => return,
            _ = looks.tick() => look(&app, &pool, &mut epoch).await,
            _ = records.tick() => record(&app, &pool).await,
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

async fn look(app: &App, pool: &PgPool, known_epoch: &mut u64) -> Result<(), StoreError> {
    let connected = app.propagation.connected();
    if connected.is_empty() {
        return Ok(());
    }
    let (epoch, heads) = config_log::heads(pool, &connected).await?;
    for (physical_cluster, revision) in &heads {
        app.propagation.committed(physical_cluster, *revision);
    }
    if epoch != *known_epoch {
        *known_epoch = epoch;
        app.propagation.everybody_look_again();
    }
    Ok(())
}

async fn record(app: &App, pool: &PgPool) -> Result<(), StoreError> {
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
