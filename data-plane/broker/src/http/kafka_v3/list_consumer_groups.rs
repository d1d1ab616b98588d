//! `GET /kafka/v3/clusters/{cluster}/consumer-groups`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::kafka_rest::consumer_group::ConsumerGroup;
use millstream_api::kafka_rest::envelope::List;
use millstream_api::role::{KafkaResource, Operation};

use super::consumer_group;
use super::scope::Scope;
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
) -> Result<Json<List<ConsumerGroup>>, RestError> {
    let sees_all = scope.allows_on_cluster(Operation::Describe);
    let mut data = Vec::new();
    for listing in broker.groups.list(&scope.tenant).map_err(consumer_group::refuse)? {
        let is_visible = sees_all || scope.allows(Operation::Describe, KafkaResource::Group, &listing.group_id);
        if !is_visible || !consumer_group::is_of_consumers(listing.protocol_type.as_deref()) {
            continue;
        }
        // A group may end between the list and the look at it.
        let description = broker.groups.describe(&scope.tenant, &listing.group_id).map_err(consumer_group::refuse)?;
        data.extend(description.map(|group| consumer_group::of(&broker, &scope, &listing.group_id, &group)));
    }
    Ok(Json(List::new("KafkaConsumerGroupList", scope.links.collection(&["consumer-groups"]), data)))
}
