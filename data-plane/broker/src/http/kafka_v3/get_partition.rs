//! `GET /kafka/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::partition::Partition;
use millstream_api::role::Operation;

use super::partition;
use super::scope::Scope;
use super::topic;
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, name, number)): Path<(String, String, String)>,
) -> Result<Json<Partition>, RestError> {
    let topic = topic::find(&broker, &scope, &name, Operation::Describe)?;
    let (number, partition) = partition::find(&topic, &number)?;
    Ok(Json(partition::of(&scope, &name, number, partition)))
}
