//! `GET /kafka/v3/clusters/{cluster}/topics/{topic}/configs`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::config::TopicConfig;
use millstream_api::kafka_rest::envelope::List;
use millstream_api::role::Operation;

use super::scope::Scope;
use super::topic;
use super::topic_config;
use crate::broker::Broker;
use crate::http::error::RestError;
use crate::topics;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<List<TopicConfig>>, RestError> {
    let topic = topic::find(&broker, &scope, &name, Operation::DescribeConfigs)?;
    let entries = topics::describe_configs(&topic).into_iter();
    let data = entries.map(|entry| topic_config::of(&scope, &name, entry)).collect();
    Ok(Json(List::new("KafkaTopicConfigList", scope.links.collection(&["topics", &name, "configs"]), data)))
}
