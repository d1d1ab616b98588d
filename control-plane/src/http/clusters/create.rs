//! `POST /cmk/v2/clusters`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use millstream_api::ids::{EnvironmentId, LogicalClusterId};
use millstream_api::rest::cmk::{Cluster, ClusterKind, CreateCluster, CreateClusterSpec};

use super::{check_name, from_text, name_is_taken, render, to_text};
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::lifecycle::{LogicalEvent, LogicalPhase};
use crate::domain::placement::Placement;
use crate::domain::timestamp::Timestamp;
use crate::domain::{cluster, names};
use crate::fleet::connected_agents;
use crate::fleet::placing::{PlaceError, Wanted, place};
use crate::http::answers::accepted;
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::idempotency::{self, Idempotency};
use crate::random;
use crate::store::logical_clusters::{self, LogicalCluster as Row};
use crate::store::{
    Transaction, config_log, environments, organizations, physical_clusters, principals, quotas, role_bindings, shard,
};

/// Creates a Kafka cluster.
#[utoipa::path(post, path = "/cmk/v2/clusters", operation_id = "createCmkV2Cluster", tag = "Clusters",
    request_body = CreateCluster, responses((status = 202, body = Cluster)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    body: JsonBody<CreateCluster>,
) -> Result<Response, ApiError> {
    let spec = &body.value.spec;
    check_spec(spec)?;
    let shape = cluster::shape(&spec.config, spec.availability, spec.deletion_protection)?;
    let unknown_environment = || ApiError::not_found().at("/spec/environment/id");
    let environment_id: EnvironmentId = spec.environment.id.parse().map_err(|_| unknown_environment())?;
    let in_environment = Target::Environment(&environment_id);
    caller.authorize(Action::CreateCluster, in_environment).map_err(|error| error.at("/spec/environment/id"))?;
    let organization = caller.scope.organization_id();

    let connected = connected_agents::connected(&app).await;
    let mut transaction = app.database.write_for(&caller.scope).await?;
    organizations::lock(&mut transaction, organization).await?;
    if let Some(id) = idempotency.find(&mut transaction, &caller, &body.bytes).await? {
        let id = id.parse().map_err(|_| ApiError::internal())?;
        let row = logical_clusters::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(idempotency::gone)?;
        let answer = render(&app, organization, &row)?;
        return Ok(accepted(&answer.metadata, &answer));
    }
    let environment = environments::get_and_keep(&mut transaction, &caller.scope, &environment_id).await?;
    environment.ok_or_else(unknown_environment)?;

    let now = app.clock.now();
    let mut row = Row {
        id: LogicalClusterId::from_random(random::bytes()?),
        environment_id,
        display_name: spec.display_name.clone(),
        availability: to_text(&spec.availability)?,
        cloud: to_text(&spec.cloud)?,
        region: spec.region.clone(),
        kind: shape.kind.as_str().to_owned(),
        units: i64::from(shape.units),
        observed_units: 0,
        deletion_protection: shape.deletion_protection,
        phase: LogicalPhase::Placing,
        message: String::new(),
        physical_cluster_id: None,
        kafka_bootstrap_endpoint: String::new(),
        kafka_ca_certificate: String::new(),
        created_at: now.0,
        updated_at: now.0,
    };
    idempotency.remember(&app, &mut transaction, &caller, &body.bytes, row.id.as_str()).await?;
    // How full a physical cluster is depends on the clusters of others.
    transaction.see_fleet().await?;
    choose_physical_cluster(&mut transaction, &mut row, &connected, now).await?;
    transaction.see_only(&caller.scope).await?;
    quotas::take(&mut transaction, &caller.scope, row.shares_of_creation(), now).await?;
    let mut revision = 0;
    if let Some(physical_cluster) = &row.physical_cluster_id {
        let mut changes = vec![shard::upsert_logical_cluster(row.config_item(organization))];
        let bindings = role_bindings::of_organization(&mut transaction, organization).await?;
        changes.extend(bindings.into_iter().map(shard::upsert_role_binding));
        changes.extend(principals::of_organization(&mut transaction, organization).await?);
        revision = config_log::append(&mut transaction, physical_cluster, changes, now).await?;
        role_bindings::set_revision_of_all(&mut transaction, organization, physical_cluster, revision).await?;
    }
    logical_clusters::insert(&mut transaction, &caller.scope, &row, revision).await.map_err(name_is_taken)?;
    transaction.commit().await?;
    if let Some(physical_cluster) = &row.physical_cluster_id {
        app.propagation.committed(physical_cluster, revision);
    }
    app.driver_wake.notify_one();
    if shape.kind == ClusterKind::Dedicated {
        app.agents.look_again();
    }
    let answer = render(&app, organization, &row)?;
    Ok(accepted(&answer.metadata, &answer))
}

fn check_spec(spec: &CreateClusterSpec) -> Result<(), ApiError> {
    check_name(&spec.display_name)?;
    names::check_region(&spec.region)
        .map_err(|error| ApiError::bad_request(format!("spec.region {error}")).at("/spec/region"))
}

async fn choose_physical_cluster(
    transaction: &mut Transaction,
    row: &mut Row,
    connected: &BTreeSet<String>,
    now: Timestamp,
) -> Result<(), ApiError> {
    let wanted =
        Wanted { id: &row.id, kind: from_text(&row.kind)?, units: row.units, cloud: &row.cloud, region: &row.region };
    match place(transaction, &wanted, connected, now).await? {
        Placement::On(physical_cluster) => {
            (row.kafka_bootstrap_endpoint, row.kafka_ca_certificate) =
                physical_clusters::endpoint(transaction, &physical_cluster).await?;
            row.physical_cluster_id = Some(physical_cluster);
            row.phase = row.phase.after(LogicalEvent::Placed).ok_or_else(ApiError::internal)?;
            Ok(())
        }
        Placement::Wait { reason } => {
            row.message = reason;
            Ok(())
        }
        Placement::NotServed { served } => {
            let detail = format!("spec.region is not served in spec.cloud: use for example {}", served.join(", "));
            Err(ApiError::unprocessable(detail).at("/spec/region"))
        }
    }
}

impl From<PlaceError> for ApiError {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Store(error) => error.into(),
            PlaceError::Random(error) => error.into(),
        }
    }
}
