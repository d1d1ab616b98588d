//! A cluster as JSON.

use serde::Serialize;

use super::links::{Metadata, Related};
use super::scope::Scope;

/// A cluster.
#[derive(Serialize)]
pub(super) struct Cluster {
    kind: &'static str,
    metadata: Metadata,
    cluster_id: String,
    acls: Related,
    brokers: Related,
    broker_configs: Related,
    consumer_groups: Related,
    topics: Related,
    partition_reassignments: Related,
}

impl Cluster {
    pub(super) fn of(scope: &Scope) -> Self {
        let links = &scope.links;
        Self {
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
}
