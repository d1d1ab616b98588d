//! `GET /kafka/v3/clusters/{cluster}/topics/{topic}/configs/{name}`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::config::TopicConfig;
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
    Path((_, name, config)): Path<(String, String, String)>,
) -> Result<Json<TopicConfig>, RestError> {
    let topic = topic::find(&broker, &scope, &name, Operation::DescribeConfigs)?;
    let entry = topics::describe_configs(&topic).into_iter().find(|entry| entry.name == config);
    let entry = entry.ok_or_else(|| topic_config::unknown(&config))?;
    Ok(Json(topic_config::of(&scope, &name, entry)))
}
