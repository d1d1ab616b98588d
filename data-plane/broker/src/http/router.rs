//! Every route of the broker's HTTP listener.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use tower_http::catch_panic::CatchPanicLayer;

use super::error::RestError;
use super::{basic_authentication, health, kafka_v3, metrics, restart_probe};
use crate::broker::Broker;

/// A request that takes longer, for instance because its body does not come, is answered with 408.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The routes of the listener: kafka/v3 behind Basic authentication, health, restart probes and metrics.
pub(super) fn router(broker: Arc<Broker>) -> Router {
    let authenticate = from_fn_with_state(Arc::clone(&broker), basic_authentication::authenticate);
    let kafka_v3 = kafka_v3::router(Arc::clone(&broker)).layer(authenticate);
    Router::new()
        .route("/health", get(health::live))
        .route("/ready", get(health::ready))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::page))
        .route("/v1/restart-probe/pre", get(restart_probe::pre))
        .route("/v1/restart-probe/post", get(restart_probe::post))
        .fallback(|| async { RestError::not_found("HTTP 404 Not Found") })
        .with_state(broker)
        .merge(kafka_v3)
        .layer(from_fn(limit_time))
        .layer(CatchPanicLayer::custom(|_| {
            RestError::plain(StatusCode::INTERNAL_SERVER_ERROR, "HTTP 500 Internal Server Error").into_response()
        }))
}

async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => RestError::plain(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response(),
    }
}
