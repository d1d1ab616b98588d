//! `GET /livez` and `GET /readyz`: whether to restart this replica, and whether to send it requests.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use tokio::time::timeout;

use crate::app::App;

/// How long the database may take to answer before this replica is not ready. Shorter than the patience of a prober.
const DATABASE_TIMEOUT: Duration = Duration::from_millis(800);

/// It answers, so it lives. What is wrong with the database is not mended by a restart.
pub async fn live() -> &'static str {
    "ok\n"
}

/// Whether it can reach its database and is not about to stop.
pub async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match timeout(DATABASE_TIMEOUT, app.database.read()).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok\n"),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database is not available\n"),
    }
}
