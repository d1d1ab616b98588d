//! `GET /kafka/v3/clusters/{cluster}/consumer-groups/{group}/consumers/{consumer}/assignments`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::consumer_group::ConsumerAssignment;
use millstream_api::kafka_rest::envelope::List;

use super::scope::Scope;
use super::{consumer, consumer_group};
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, group_id, consumer_id)): Path<(String, String, String)>,
) -> Result<Json<List<ConsumerAssignment>>, RestError> {
    let group = consumer_group::find(&broker, &scope, &group_id)?;
    let member = consumer::find(&group, &consumer_id)?;
    let assigned = consumer::assigned_partitions(&member.assignment).into_iter();
    let data = assigned.map(|(topic, partition)| of(&scope, &group_id, &consumer_id, &topic, partition)).collect();
    let metadata = scope.links.collection(&["consumer-groups", &group_id, "consumers", &consumer_id, "assignments"]);
    Ok(Json(List::new("KafkaConsumerAssignmentList", metadata, data)))
}

fn of(scope: &Scope, group_id: &str, consumer_id: &str, topic_name: &str, partition_id: i32) -> ConsumerAssignment {
    let (links, partition) = (&scope.links, partition_id.to_string());
    let metadata = links.metadata(
        &["consumer-groups", group_id, "consumers", consumer_id, "assignments", topic_name, "partitions", &partition],
        &[
            ("consumer-group", group_id),
            ("consumer", consumer_id),
            ("assignment", topic_name),
            ("partition", &partition),
        ],
    );
    ConsumerAssignment {
        kind: "KafkaConsumerAssignment",
        metadata,
        cluster_id: scope.tenant.to_string(),
        consumer_group_id: group_id.to_owned(),
        consumer_id: consumer_id.to_owned(),
        topic_name: topic_name.to_owned(),
        partition_id,
        partition: links.related(&["topics", topic_name, "partitions", &partition]),
        lag: links.related(&["consumer-groups", group_id, "lags", topic_name, "partitions", &partition]),
    }
}
