//! A replica of a partition as JSON.

use millstream_api::kafka_rest::partition::Replica;
use millstream_metadata::image::PartitionImage;

use super::scope::Scope;

/// The replica as it is answered.
pub(super) fn of(
    scope: &Scope,
    topic_name: &str,
    partition_id: i32,
    image: &PartitionImage,
    broker_id: i32,
) -> Replica {
    let (partition, broker) = (partition_id.to_string(), broker_id.to_string());
    let metadata = scope.links.metadata(
        &["topics", topic_name, "partitions", &partition, "replicas", &broker],
        &[("topic", topic_name), ("partition", &partition), ("replica", &broker)],
    );
    Replica {
        kind: "KafkaReplica",
        metadata,
        cluster_id: scope.tenant.to_string(),
        topic_name: topic_name.to_owned(),
        partition_id,
        broker_id,
        is_leader: image.leader == Some(broker_id),
        is_in_sync: image.in_sync_replicas.contains(&broker_id),
        broker: scope.links.related(&["brokers", &broker]),
    }
}
