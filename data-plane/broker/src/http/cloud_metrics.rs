//! `GET /v2/metrics/cloud/export`: what one logical cluster did in the last minute, as Prometheus text under the names
//! of Confluent Cloud's Metrics API.
//!
//! Reached through the control plane only, which verified that the caller may see the cluster. Counters are exported as
//! gauges of a minute, as there; they are at most ten seconds old.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;
use millstream_api::ids::LogicalClusterId;

use super::caller::Caller;
use super::metrics::TEXT_FORMAT;
use crate::broker::Broker;
use crate::metering::Sample;
use crate::quotas::tenant::Rate;

/// The only path.
pub(crate) const PATH: &str = "/v2/metrics/cloud/export";

/// The route. Trusts the [`Caller`] in the request's extensions.
pub(crate) fn router(broker: Arc<Broker>) -> Router {
    Router::new().route(PATH, get(export)).with_state(broker)
}

async fn export(State(broker): State<Arc<Broker>>, Extension(caller): Extension<Caller>) -> Response {
    let sample = broker.metering.last_minute(&caller.tenant);
    // What the limit of partitions counts, and not as of the last sample: whether a cluster can shrink hangs on it.
    let image = broker.metadata.image();
    let partitions = image.tenant(&caller.tenant).map_or(0, |tenant| tenant.partition_count());
    let quota = broker.quotas.tenant(&caller.tenant);
    let throttled_ms = quota.throttled(Rate::Ingress) + quota.throttled(Rate::Egress) + quota.throttled(Rate::Requests);
    let page = render(&caller.tenant, sample, partitions, quota.open_connections(), throttled_ms.as_millis());
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], page).into_response()
}

fn render(
    tenant: &LogicalClusterId,
    sample: Sample,
    partitions: usize,
    connections: u64,
    throttled_ms: u128,
) -> String {
    let counts = sample.counts;
    let mut page = String::new();
    for (name, help, value) in [
        ("received_bytes", "Bytes of records that were produced in the last minute.", counts.received_bytes.into()),
        ("sent_bytes", "Bytes of records that were consumed in the last minute.", counts.sent_bytes.into()),
        ("received_records", "Records that were produced in the last minute.", counts.received_records.into()),
        ("retained_bytes", "Bytes of records that are stored.", sample.stored_bytes.into()),
        ("request_count", "Requests in the last minute.", counts.requests.into()),
        ("active_connection_count", "Authenticated connections that are open.", u128::from(connections)),
        (
            "successful_authentication_count",
            "Logins in the last minute.",
            u128::from(counts.successful_authentications),
        ),
        ("partition_count", "Partitions.", partitions as u128),
        ("client_limit_milliseconds", "Time that requests waited for a rate since the broker started.", throttled_ms),
    ] {
        let name = format!("confluent_kafka_server_{name}");
        let written =
            writeln!(page, "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{kafka_id=\"{tenant}\"}} {value}");
        written.expect("writing to a String cannot fail");
    }
    page
}
