//! A topic as JSON, and how to find one.

use std::sync::Arc;

use millstream_api::kafka_rest::topic::Topic;
use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::image::TopicImage;

use super::links::Links;
use super::scope::Scope;
use crate::broker::Broker;
use crate::http::error::RestError;

/// The topic as it is answered.
pub(super) fn of(scope: &Scope, topic: &TopicImage) -> Topic {
    let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
    planned(scope, topic.name.as_str(), topic.partitions.len(), replicas)
}

/// A topic that exists, or would.
pub(super) fn planned(scope: &Scope, name: &str, partitions_count: usize, replication_factor: usize) -> Topic {
    let links: &Links = &scope.links;
    Topic {
        kind: "KafkaTopic",
        metadata: links.metadata(&["topics", name], &[("topic", name)]),
        cluster_id: scope.tenant.to_string(),
        topic_name: name.to_owned(),
        is_internal: false,
        replication_factor,
        partitions_count,
        partitions: links.related(&["topics", name, "partitions"]),
        configs: links.related(&["topics", name, "configs"]),
        partition_reassignments: links.related(&["topics", name, "partitions", "-", "reassignment"]),
        authorized_operations: Vec::new(),
    }
}

/// The topic of this name in the caller's cluster, if the caller may do this to it.
pub(super) fn find(
    broker: &Broker,
    scope: &Scope,
    name: &str,
    operation: Operation,
) -> Result<Arc<TopicImage>, RestError> {
    scope.check(operation, KafkaResource::Topic, name)?;
    let image = broker.metadata.image();
    image.topic_by_name(&scope.tenant, name).cloned().ok_or_else(RestError::unknown_topic_or_partition)
}
