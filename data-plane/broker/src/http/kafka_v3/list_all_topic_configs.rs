//! `GET /kafka/v3/clusters/{cluster}/topics/-/configs`: the configs of all topics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::kafka_rest::config::TopicConfig;
use millstream_api::kafka_rest::envelope::List;
use millstream_api::role::{KafkaResource, Operation};

use super::scope::Scope;
use super::topic_config;
use crate::broker::Broker;
use crate::topics;

pub(super) async fn handle(State(broker): State<Arc<Broker>>, scope: Scope) -> Json<List<TopicConfig>> {
    let image = broker.metadata.image();
    let mut data = Vec::new();
    for topic in image.tenant(&scope.tenant).into_iter().flat_map(|tenant| tenant.topics()) {
        if !scope.allows(Operation::DescribeConfigs, KafkaResource::Topic, topic.name.as_str()) {
            continue;
        }
        let entries = topics::describe_configs(topic).into_iter();
        data.extend(entries.map(|entry| topic_config::of(&scope, topic.name.as_str(), entry)));
    }
    Json(List::new("KafkaTopicConfigList", scope.links.collection(&["topics", "-", "configs"]), data))
}
