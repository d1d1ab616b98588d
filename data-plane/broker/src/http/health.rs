//! Whether the process lives, and whether it should get traffic.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use crate::broker::Broker;
use crate::tenants::image::Position;

/// The answer of `/health`.
#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
}

/// The answer of `/ready`.
#[derive(Serialize)]
pub(super) struct Readiness {
    ready: bool,
    /// Tenant configuration is known, from the control plane or from disk.
    configuration: bool,
    configuration_epoch: u64,
    configuration_revision: u64,
    /// The control plane is connected. Not needed to be ready.
    control_plane: bool,
    /// The configuration in use could not be written to disk.
    configuration_unsaved: bool,
    /// `none`, `ok` or why it fails. Not needed to be ready.
    object_store: String,
}

/// The process answers, so it lives.
pub(super) async fn live() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Ready: clients could log in, or there is no control plane that would have told of any. A control plane or an object
/// store that is away does not make a broker unready.
pub(super) async fn ready(State(broker): State<Arc<Broker>>) -> (StatusCode, Json<Readiness>) {
    let Position { epoch, revision } = broker.tenants.position();
    let fleet = broker.fleet.report();
    let backup = broker.backup.report();
    let configuration = Position { epoch, revision } != Position::default();
    let object_store = match (backup.configured, backup.failing) {
        (false, _) => "none".to_owned(),
        (true, None) => "ok".to_owned(),
        (true, Some(reason)) => reason,
    };
    let readiness = Readiness {
        ready: configuration || !fleet.configured,
        configuration,
        configuration_epoch: epoch,
        configuration_revision: revision,
        control_plane: fleet.config_connected,
        configuration_unsaved: fleet.image_unsaved,
        object_store,
    };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}
