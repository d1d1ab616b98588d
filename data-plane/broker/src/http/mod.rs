//! HTTP of the broker: kafka/v3 for tenants, health, restart probes and metrics for whoever runs the broker.
//!
//! Promises: every kafka/v3 request carries a verified caller, whichever way it came. Handlers translate JSON to
//! the functions that the Kafka APIs use too; they decide nothing.

mod basic_authentication;
pub(crate) mod caller;
pub(crate) mod cloud_metrics;
mod error;
mod health;
mod json;
pub(crate) mod kafka_v3;
mod metrics;
mod restart_probe;
mod router;
mod server;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;

/// Serves HTTP until `shutdown` fires, then lets requests finish.
pub(crate) async fn serve(broker: Arc<Broker>, listener: TcpListener, shutdown: CancellationToken) {
    server::run(router::router(broker), listener, shutdown).await;
}
