//! What whoever operates this service asks one replica: does it live, is it ready, how does it do.
//!
//! On a listener of its own, without TLS or credentials, so that the public API never shows it. Shows how many clusters
//! there are in all, and no id, name or figure of a tenant.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::app::App;

mod health;
pub mod metrics;

/// The monitoring listener's router.
pub fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::export))
        .with_state(Arc::clone(app))
}
