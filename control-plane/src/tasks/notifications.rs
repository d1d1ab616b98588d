//! Hears of config revisions, of work for agents and of answers that arrived or did not, which other replicas commit
//! (PostgreSQL's LISTEN), and wakes who waits here.
//!
//! Only shortens the wait: `config_heads` looks at the logs anyway.

use std::sync::Arc;
use std::time::Duration;

use millstream_api::ids::PhysicalClusterId;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tracing::warn;

use crate::app::App;
use crate::store::broker_sessions::CONFIG_CHANNEL;
use crate::store::physical_clusters::AGENT_CHANNEL;
use crate::store::recent_posts::ANSWERS_CHANNEL;

/// How long to wait before listening again after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Runs until this replica stops.
pub async fn run(app: Arc<App>, pool: PgPool) {
    loop {
        let ended = tokio::select! {
            _ = app.shutdown.cancelled() => return,
            ended = listen(&app, &pool) => ended,
        };
        if let Err(error) = ended {
            warn!(error = &error as &dyn std::error::Error, "cannot listen for config revisions; trying again");
        }
        tokio::select! {
            _ = app.shutdown.cancelled() => return,
            _ = tokio::time::sleep(RETRY_DELAY) => {}
        }
    }
}

async fn listen(app: &App, pool: &PgPool) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([CONFIG_CHANNEL, AGENT_CHANNEL, ANSWERS_CHANNEL]).await?;
    loop {
        let notification = listener.recv().await?;
        if notification.channel() == AGENT_CHANNEL {
            app.agents.look_again();
            continue;
        }
        if notification.channel() == ANSWERS_CHANNEL {
            app.answers_settled.send_modify(|settled| *settled = settled.wrapping_add(1));
            continue;
        }
        if let Ok(physical_cluster) = notification.payload().parse::<PhysicalClusterId>() {
            app.propagation.look_again(&physical_cluster);
        }
    }
}
