//! `GET /kafka/v3/clusters/{cluster}/consumer-groups/{group}/lags`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::envelope::List;
use millstream_api::kafka_rest::lag::Lag;

use super::lag;
use super::scope::Scope;
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, group_id)): Path<(String, String)>,
) -> Result<Json<List<Lag>>, RestError> {
    let data = lag::of_group(&broker, &scope, &group_id)?;
    let metadata = scope.links.collection(&["consumer-groups", &group_id, "lags"]);
    Ok(Json(List::new("KafkaConsumerLagList", metadata, data)))
}
