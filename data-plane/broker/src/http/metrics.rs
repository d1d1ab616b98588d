//! The Prometheus page. For whoever runs the broker, so only on this machine, unless the configuration opens it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use super::error::RestError;
use crate::broker::Broker;
use crate::clock::now_ms;
use crate::metrics::{Gauges, QuotaGauges};

/// The content type that Prometheus expects.
pub(super) const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is counted.
pub(super) async fn page(State(broker): State<Arc<Broker>>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Response {
    if !broker.settings.open_metrics && !peer.ip().to_canonical().is_loopback() {
        return RestError::plain(StatusCode::FORBIDDEN, "metrics are served to this machine only").into_response();
    }
    // Looking at every partition takes too long for a thread that serves connections.
    match tokio::task::spawn_blocking(move || broker.metrics.render(&look_up(&broker))).await {
        Ok(page) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], page).into_response(),
        Err(_) => RestError::retriable("the metrics could not be collected").into_response(),
    }
}

fn look_up(broker: &Broker) -> Gauges {
    let mut gauges = Gauges::default();
    for partition in broker.partitions.all() {
        let of_tenant = gauges.tenants.entry(partition.id.tenant.clone()).or_default();
        of_tenant.partitions += 1;
        of_tenant.retained_bytes += partition.log().size_bytes();
    }
    for (tenant, quota) in broker.quotas.all() {
        let of_tenant = gauges.tenants.entry(tenant).or_default();
        of_tenant.active_connections = quota.open_connections();
        of_tenant.quota = Some(QuotaGauges::of(&quota));
    }
    let (keys, quarantined) = broker.tenants.counts();
    let position = broker.tenants.position();
    let fleet = broker.fleet.report();
    let backup = broker.backup.report();
    let silence_ms = if fleet.last_heard_ms == 0 { -1.0 } else { (now_ms() - fleet.last_heard_ms) as f64 };
    gauges.process = vec![
        (
            "open_connections",
            "Kafka connections that are open, logged in or not.",
            broker.connections.open_count() as f64,
        ),
        ("configuration_revision", "Revision of the tenant configuration in force.", position.revision as f64),
        ("configuration_head_revision", "Newest revision that the control plane spoke of.", fleet.head_revision as f64),
        ("configuration_keys", "API keys in the tenant configuration.", keys as f64),
        (
            "configuration_quarantined_items",
            "Items of the configuration that could not be understood.",
            quarantined as f64,
        ),
        ("configuration_unsaved", "1 if the configuration in force is not on disk.", as_number(fleet.image_unsaved)),
        ("control_plane_connected", "1 if the config stream is up.", as_number(fleet.config_connected)),
        ("control_plane_forward_connected", "1 if the forward stream is up.", as_number(fleet.forward_connected)),
        (
            "control_plane_silence_seconds",
            "Time since the control plane was last heard, negative if never.",
            silence_ms / 1_000.0,
        ),
        ("metadata_backup_uploads", "Metadata snapshots uploaded since the start.", backup.uploads as f64),
        ("metadata_backup_failures", "Uploads that failed since the start.", backup.failures as f64),
        ("metadata_backup_failing", "1 if the last upload failed.", as_number(backup.failing.is_some())),
        ("resident_memory_bytes", "Memory of the process.", resident_bytes()),
    ];
    gauges
}

fn as_number(flag: bool) -> f64 {
    if flag { 1.0 } else { 0.0 }
}

/// From the kernel's status file; 0 where there is none.
fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
    kibibytes.unwrap_or(0.0) * 1_024.0
}
