//! `GET /kafka/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}/replicas`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::envelope::List;
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
    Path((_, name, number)): Path<(String, String, String)>,
) -> Result<Json<List<Replica>>, RestError> {
    let topic = topic::find(&broker, &scope, &name, Operation::Describe)?;
    let (number, partition) = partition::find(&topic, &number)?;
    let brokers = partition.replicas.iter();
    let data = brokers.map(|broker| replica::of(&scope, &name, number, partition, *broker)).collect();
    let path = ["topics", &name, "partitions", &number.to_string(), "replicas"];
    Ok(Json(List::new("KafkaReplicaList", scope.links.collection(&path), data)))
}
