//! `GET /kafka/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}/replicas/{broker}`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::partition::Replica;
use millstream_api::role::Operation;

use super::replica;
use super::scope::Scope;
use super::{partition, topic};
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, name, number, replica)): Path<(String, String, String, String)>,
) -> Result<Json<Replica>, RestError> {
    let topic = topic::find(&broker, &scope, &name, Operation::Describe)?;
    let (number, partition) = partition::find(&topic, &number)?;
    let replica = replica.parse::<i32>().ok().filter(|replica| partition.replicas.contains(replica));
    let replica = replica.ok_or_else(|| RestError::not_found("This partition has no such replica."))?;
    Ok(Json(replica::of(&scope, &name, number, partition, replica)))
}
