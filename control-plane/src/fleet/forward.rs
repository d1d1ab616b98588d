//! The broker's end of forwarded HTTP requests: one stream per broker.

use std::sync::Arc;

use millstream_api::fleet::{ForwardedResponse, forwarded_response::Response};
use millstream_api::ids::PhysicalClusterId;
use tonic::Streaming;
use tracing::info;

use super::forwarders::Forwarder;
use crate::app::App;

/// Serves one stream until the broker leaves or this replica stops.
pub async fn run(
    app: Arc<App>,
    physical_cluster: PhysicalClusterId,
    broker_id: i32,
    forwarder: Arc<Forwarder>,
    mut incoming: Streaming<ForwardedResponse>,
) {
    info!(%physical_cluster, broker_id, "broker {broker_id} of {physical_cluster} takes HTTP requests");
    loop {
        let message = tokio::select! {
            _ = app.shutdown.cancelled() => break,
            message = incoming.message() => message,
        };
        match message {
            Ok(Some(ForwardedResponse { response: Some(Response::Answer(answer)) })) => forwarder.complete(answer),
            // A second hello means nothing; an empty message may come from a newer broker.
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
    app.forwarders.remove(&physical_cluster, &forwarder);
    info!(%physical_cluster, broker_id, "broker {broker_id} of {physical_cluster} takes no more HTTP requests");
}
