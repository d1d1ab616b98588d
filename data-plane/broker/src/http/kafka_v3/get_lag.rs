//! `GET /kafka/v3/clusters/{cluster}/consumer-groups/{group}/lags/{topic}/partitions/{partition}`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::lag::Lag;

use super::lag;
use super::scope::Scope;
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, group_id, topic, partition)): Path<(String, String, String, String)>,
) -> Result<Json<Lag>, RestError> {
    let mut lags = lag::of_group(&broker, &scope, &group_id)?.into_iter();
    let asked = lags.find(|lag| lag.topic_name == topic && lag.partition_id.to_string() == partition);
    asked.map(Json).ok_or_else(RestError::unknown_topic_or_partition)
}
