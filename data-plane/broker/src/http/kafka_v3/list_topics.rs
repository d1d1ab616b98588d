//! `GET /kafka/v3/clusters/{cluster}/topics`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::kafka_rest::envelope::List;
use millstream_api::kafka_rest::topic::Topic;
use millstream_api::role::{KafkaResource, Operation};

use super::scope::Scope;
use super::topic;
use crate::broker::Broker;

pub(super) async fn handle(State(broker): State<Arc<Broker>>, scope: Scope) -> Json<List<Topic>> {
    let image = broker.metadata.image();
    let topics = image.tenant(&scope.tenant).into_iter().flat_map(|tenant| tenant.topics());
    let visible = topics.filter(|topic| scope.allows(Operation::Describe, KafkaResource::Topic, topic.name.as_str()));
    let data = visible.map(|topic| topic::of(&scope, topic)).collect();
    Json(List::new("KafkaTopicList", scope.links.collection(&["topics"]), data))
}
