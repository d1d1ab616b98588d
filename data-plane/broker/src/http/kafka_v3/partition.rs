//! A partition as JSON, and how to find one.

use millstream_metadata::image::{PartitionImage, TopicImage};
use serde::Serialize;

use super::links::{Metadata, Related};
use super::scope::Scope;
use crate::http::error::RestError;

/// A partition.
#[derive(Serialize)]
pub(super) struct Partition {
    kind: &'static str,
    metadata: Metadata,
    cluster_id: String,
    topic_name: String,
    partition_id: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<Related>,
    replicas: Related,
    reassignment: Related,
}

impl Partition {
    pub(super) fn of(scope: &Scope, topic_name: &str, partition_id: i32, image: &PartitionImage) -> Self {
        let links = &scope.links;
        let id = partition_id.to_string();
        let path = ["topics", topic_name, "partitions", &id];
        let leader = image
            .leader
            .map(|leader| links.related(&["topics", topic_name, "partitions", &id, "replicas", &leader.to_string()]));
        Self {
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
}

/// The partition that a path names, and its number.
pub(super) fn find<'a>(topic: &'a TopicImage, number: &str) -> Result<(i32, &'a PartitionImage), RestError> {
    let number = number.parse::<i32>().map_err(|_| RestError::not_found("HTTP 404 Not Found"))?;
    let partition = topic.partition(number).ok_or_else(RestError::unknown_topic_or_partition)?;
    Ok((number, partition))
}
