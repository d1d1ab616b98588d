//! `GET /livez` and `GET /readyz`: whether to restart this replica, and whether to send it requests.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::app::App;

/// It answers, so it lives. What is wrong with the database is not mended by a restart.
pub async fn live() -> &'static str {
    "ok\n"
}

/// Whether it takes requests, until it is about to stop. Not whether its database answers: all replicas share it, and without any of them
/// clients would be refused a connection instead of being told when to come again.
pub async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    (StatusCode::OK, "ok\n")
}
