//! A partition as JSON, and how to find one.

use millstream_api::kafka_rest::partition::Partition;
use millstream_metadata::image::{PartitionImage, TopicImage};

use super::scope::Scope;
use crate::http::error::RestError;

/// The partition as it is answered.
pub(super) fn of(scope: &Scope, topic_name: &str, partition_id: i32, image: &PartitionImage) -> Partition {
    let links = &scope.links;
    let id = partition_id.to_string();
    let path = ["topics", topic_name, "partitions", &id];
    let leader = image
        .leader
        .map(|leader| links.related(&["topics", topic_name, "partitions", &id, "replicas", &leader.to_string()]));
    Partition {
        kind: "KafkaPartition",
        metadata: links.metadata(&path, &[("topic", topic_name), ("partition", &id)]),
        cluster_id: scope.tenant.to_string(),
        topic_name: topic_name.to_owned(),
        partition_id,
        leader,
        replicas: links.related(&["topics", topic_name, "partitions", &id, "replicas"]),
        reassignment: links.related(&["topics", topic_name, "partitions", &id, "reassignment"]),
    }
}

/// The partition that a path names, and its number.
pub(super) fn find<'a>(topic: &'a TopicImage, number: &str) -> Result<(i32, &'a PartitionImage), RestError> {
    let number = number.parse::<i32>().map_err(|_| RestError::not_found("HTTP 404 Not Found"))?;
    let partition = topic.partition(number).ok_or_else(RestError::unknown_topic_or_partition)?;
    Ok((number, partition))
}
