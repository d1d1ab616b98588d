//! `GET /kafka/v3/clusters/{cluster}/topics/{topic}/partitions`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::envelope::List;
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
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<List<Partition>>, RestError> {
    let topic = topic::find(&broker, &scope, &name, Operation::Describe)?;
    let partitions = (0..).zip(&topic.partitions);
    let data = partitions.map(|(number, partition)| partition::of(&scope, &name, number, partition)).collect();
    Ok(Json(List::new("KafkaPartitionList", scope.links.collection(&["topics", &name, "partitions"]), data)))
}
