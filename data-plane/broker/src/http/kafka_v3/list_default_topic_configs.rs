//! `GET /kafka/v3/clusters/{cluster}/topics/{topic}/default-configs`: what holds for what nobody set. The topic
//! need not exist: tools ask before they create it.

use axum::Json;
use axum::extract::Path;
use millstream_api::kafka_rest::config::TopicConfig;
use millstream_api::kafka_rest::envelope::List;

use super::scope::Scope;
use super::topic_config;

pub(super) async fn handle(scope: Scope, Path((_, name)): Path<(String, String)>) -> Json<List<TopicConfig>> {
    let entries = topic_config::definitions();
    let data = entries.map(|entry| topic_config::default_of(&scope, &name, entry)).collect();
    Json(List::new("KafkaTopicConfigList", scope.links.collection(&["topics", &name, "default-configs"]), data))
}
