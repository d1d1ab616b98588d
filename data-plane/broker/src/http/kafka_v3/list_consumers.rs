//! `GET /kafka/v3/clusters/{cluster}/consumer-groups/{group}/consumers`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::consumer_group::Consumer;
use millstream_api::kafka_rest::envelope::List;

use super::consumer;
use super::consumer_group;
use super::scope::Scope;
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, group_id)): Path<(String, String)>,
) -> Result<Json<List<Consumer>>, RestError> {
    let group = consumer_group::find(&broker, &scope, &group_id)?;
    let data = group.members.iter().map(|member| consumer::of(&scope, &group_id, member)).collect();
    let metadata = scope.links.collection(&["consumer-groups", &group_id, "consumers"]);
    Ok(Json(List::new("KafkaConsumerList", metadata, data)))
}
