//! A cluster as JSON.

use millstream_api::kafka_rest::cluster::Cluster;

use super::scope::Scope;

/// The cluster as it is answered.
pub(super) fn of(scope: &Scope) -> Cluster {
    let links = &scope.links;
    Cluster {
        kind: "KafkaCluster",
        metadata: links.metadata(&[], &[]),
        cluster_id: scope.tenant.to_string(),
        acls: links.related(&["acls"]),
        brokers: links.related(&["brokers"]),
        broker_configs: links.related(&["broker-configs"]),
        consumer_groups: links.related(&["consumer-groups"]),
        topics: links.related(&["topics"]),
        partition_reassignments: links.related(&["topics", "-", "partitions", "-", "reassignment"]),
    }
}
