//! The table of all operations of kafka/v3.

use super::acl::{Acl, CreateAcls, Deleted, NewAcl};
use super::cluster::Cluster;
use super::config::{AlterConfigs, SetConfig, TopicConfig};
use super::consumer_group::{Consumer, ConsumerAssignment, ConsumerGroup};
use super::endpoint::{Answer, Endpoint, Method, Operation, Parameter, Shape};
use super::envelope::List;
use super::lag::{Lag, LagSummary};
use super::partition::{Partition, Replica};
use super::record::{Record, Report};
use super::topic::{CreateTopic, Topic, UpdateTopic};

/// What filters ACLs. A deletion must say more than a reading.
const fn acl_filters(required: bool) -> [Parameter; 7] {
    [
        Parameter {
            name: "resource_type",
            required,
            description: "`TOPIC`, `GROUP`, `TRANSACTIONAL_ID`, `CLUSTER`, or `ANY`",
        },
        Parameter { name: "resource_name", required: false, description: "Name of the resource" },
        Parameter { name: "pattern_type", required, description: "`LITERAL`, `PREFIXED`, `MATCH` or `ANY`" },
        Parameter { name: "principal", required: false, description: "`User:…`; `UserV2:…` means the same" },
        Parameter { name: "host", required: false, description: "An address, or `*`" },
        Parameter { name: "operation", required, description: "Kafka's name of the operation, `ALL`, or `ANY`" },
        Parameter { name: "permission", required, description: "`ALLOW`, `DENY` or `ANY`" },
    ]
}

const READ_FILTERS: &[Parameter] = &acl_filters(false);
const DELETE_FILTERS: &[Parameter] = &acl_filters(true);

/// Deleted, changed or stored, and nothing to say about it.
const NO_CONTENT: &[Answer] = &[Answer { status: 204, description: "Done", body: None }];

const fn shape(status: u16, description: &'static str, body: Shape) -> Answer {
    Answer { status, description, body: Some(body) }
}

const fn read(
    operation: Operation,
    path: &'static str,
    operation_id: &'static str,
    summary: &'static str,
    answers: &'static [Answer],
) -> Endpoint {
    Endpoint { operation, method: Method::Get, path, operation_id, summary, query: &[], body: None, answers }
}

/// Every operation. What is not here is answered with 404.
pub const ENDPOINTS: &[Endpoint] = &[
    read(
        Operation::ListClusters,
        "/kafka/v3/clusters",
        "listKafkaClusters",
        "Lists the cluster that the caller's Kafka API key opens.",
        &[shape(200, "The cluster", Shape::of::<List<Cluster>>())],
    ),
    read(
        Operation::GetCluster,
        "/kafka/v3/clusters/{cluster_id}",
        "getKafkaCluster",
        "Reads the cluster.",
        &[shape(200, "The cluster", Shape::of::<Cluster>())],
    ),
    Endpoint {
        operation: Operation::ListAcls,
        method: Method::Get,
        path: "/kafka/v3/clusters/{cluster_id}/acls",
        operation_id: "getKafkaAcls",
        summary: "Lists the ACLs that the filters mean.",
        query: READ_FILTERS,
        body: None,
        answers: &[shape(200, "The ACLs", Shape::of::<List<Acl>>())],
    },
    Endpoint {
        operation: Operation::CreateAcl,
        method: Method::Post,
        path: "/kafka/v3/clusters/{cluster_id}/acls",
        operation_id: "createKafkaAcls",
        summary: "Makes an ACL. It is no error if it is there.",
        query: &[],
        body: Some(Shape::of::<NewAcl>()),
        answers: &[Answer { status: 201, description: "It is there", body: None }],
    },
    Endpoint {
        operation: Operation::DeleteAcls,
        method: Method::Delete,
        path: "/kafka/v3/clusters/{cluster_id}/acls",
        operation_id: "deleteKafkaAcls",
        summary: "Deletes the ACLs that the filters mean.",
        query: DELETE_FILTERS,
        body: None,
        answers: &[shape(200, "The ACLs that are gone", Shape::of::<Deleted>())],
    },
    Endpoint {
        operation: Operation::CreateAcls,
        method: Method::Post,
        path: "/kafka/v3/clusters/{cluster_id}/acls:batch",
        operation_id: "batchCreateKafkaAcls",
        summary: "Makes several ACLs, all or none.",
        query: &[],
        body: Some(Shape::of::<CreateAcls>()),
        answers: &[Answer { status: 201, description: "They are there", body: None }],
    },
    read(
        Operation::ListTopics,
        "/kafka/v3/clusters/{cluster_id}/topics",
        "listKafkaTopics",
        "Lists the topics that the caller may see.",
        &[shape(200, "The topics", Shape::of::<List<Topic>>())],
    ),
    Endpoint {
        operation: Operation::CreateTopic,
        method: Method::Post,
        path: "/kafka/v3/clusters/{cluster_id}/topics",
        operation_id: "createKafkaTopic",
        summary: "Makes a topic.",
        query: &[],
        body: Some(Shape::of::<CreateTopic>()),
        answers: &[
            shape(200, "It would succeed", Shape::of::<Topic>()),
            shape(201, "The new topic", Shape::of::<Topic>()),
        ],
    },
    read(
        Operation::ListAllTopicConfigs,
        "/kafka/v3/clusters/{cluster_id}/topics/-/configs",
        "listKafkaAllTopicConfigs",
        "Lists the settings of all topics.",
        &[shape(200, "The settings", Shape::of::<List<TopicConfig>>())],
    ),
    read(
        Operation::GetTopic,
        "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}",
        "getKafkaTopic",
        "Reads a topic.",
        &[shape(200, "The topic", Shape::of::<Topic>())],
    ),
    Endpoint {
        operation: Operation::UpdateTopic,
        method: Method::Patch,
        path: "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}",
        operation_id: "updatePartitionCountKafkaTopic",
        summary: "Gives a topic more partitions.",
        query: &[],
        body: Some(Shape::of::<UpdateTopic>()),
        answers: &[shape(200, "The topic", Shape::of::<Topic>())],
    },
    Endpoint {
        operation: Operation::DeleteTopic,
        method: Method::Delete,
        path: "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}",
        operation_id: "deleteKafkaTopic",
        summary: "Deletes a topic and its records.",
        query: &[],
        body: None,
        answers: NO_CONTENT,
    },
    read(
        Operation::ListTopicConfigs,
        "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}/configs",
        "listKafkaTopicConfigs",
        "Lists the settings of a topic.",
        &[shape(200, "The settings", Shape::of::<List<TopicConfig>>())],
    ),
    Endpoint {
        operation: Operation::AlterTopicConfigs,
        method: Method::Post,
        path: "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}/configs:alter",
        operation_id: "updateKafkaTopicConfigBatch",
        summary: "Changes settings of a topic, all or none.",
        query: &[],
        body: Some(Shape::of::<AlterConfigs>()),
        answers: NO_CONTENT,
    },
    read(
        Operation::GetTopicConfig,
        "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}/configs/{name}",
        "getKafkaTopicConfig",
        "Reads a setting of a topic.",
        &[shape(200, "The setting", Shape::of::<TopicConfig>())],
    ),
    Endpoint {
        operation: Operation::SetTopicConfig,
        method: Method::Put,
        path: "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}/configs/{name}",
        operation_id: "updateKafkaTopicConfig",
        summary: "Changes a setting of a topic.",
        query: &[],
        body: Some(Shape::of::<SetConfig>()),
        answers: NO_CONTENT,
    },
    Endpoint {
        operation: Operation::ResetTopicConfig,
        method: Method::Delete,
        path: "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}/configs/{name}",
        operation_id: "deleteKafkaTopicConfig",
        summary: "Gives a setting of a topic its default again.",
        query: &[],
        body: None,
        answers: NO_CONTENT,
    },
    read(
        Operation::ListDefaultTopicConfigs,
        "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}/default-configs",
        "listKafkaDefaultTopicConfigs",
        "Lists what holds for the settings that nobody changed. The topic need not exist.",
        &[shape(200, "The settings", Shape::of::<List<TopicConfig>>())],
    ),
    read(
        Operation::ListPartitions,
        "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}/partitions",
        "listKafkaPartitions",
        "Lists the partitions of a topic.",
        &[shape(200, "The partitions", Shape::of::<List<Partition>>())],
    ),
    read(
        Operation::GetPartition,
        "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}",
        "getKafkaPartition",
        "Reads a partition.",
        &[shape(200, "The partition", Shape::of::<Partition>())],
    ),
    read(
        Operation::ListReplicas,
        "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/replicas",
        "listKafkaReplicas",
        "Lists the replicas of a partition.",
        &[shape(200, "The replicas", Shape::of::<List<Replica>>())],
    ),
    read(
        Operation::GetReplica,
        "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/replicas/{broker_id}",
        "getKafkaReplica",
        "Reads a replica.",
        &[shape(200, "The replica", Shape::of::<Replica>())],
    ),
    Endpoint {
        operation: Operation::ProduceRecords,
        method: Method::Post,
        path: "/kafka/v3/clusters/{cluster_id}/topics/{topic_name}/records",
        operation_id: "produceRecord",
        summary: "Stores records in a topic.",
        query: &[],
        body: Some(Shape::of::<Record<'static>>()),
        answers: &[shape(200, "What became of the records", Shape::of::<Report>())],
    },
    read(
        Operation::ListConsumerGroups,
        "/kafka/v3/clusters/{cluster_id}/consumer-groups",
        "listKafkaConsumerGroups",
        "Lists the consumer groups that the caller may see.",
        &[shape(200, "The groups", Shape::of::<List<ConsumerGroup>>())],
    ),
    read(
        Operation::GetConsumerGroup,
        "/kafka/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}",
        "getKafkaConsumerGroup",
        "Reads a consumer group.",
        &[shape(200, "The group", Shape::of::<ConsumerGroup>())],
    ),
    read(
        Operation::ListConsumers,
        "/kafka/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}/consumers",
        "listKafkaConsumers",
        "Lists the members of a consumer group.",
        &[shape(200, "The members", Shape::of::<List<Consumer>>())],
    ),
    read(
        Operation::GetConsumer,
        "/kafka/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}/consumers/{consumer_id}",
        "getKafkaConsumer",
        "Reads a member of a consumer group.",
        &[shape(200, "The member", Shape::of::<Consumer>())],
    ),
    read(
        Operation::ListConsumerAssignments,
        "/kafka/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}/consumers/{consumer_id}/assignments",
        "listKafkaConsumerAssignments",
        "Lists the partitions that a member of a consumer group reads.",
        &[shape(200, "The partitions", Shape::of::<List<ConsumerAssignment>>())],
    ),
    read(
        Operation::GetLagSummary,
        "/kafka/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}/lag-summary",
        "getKafkaConsumerGroupLagSummary",
        "Reads how far a consumer group is behind.",
        &[shape(200, "The lag", Shape::of::<LagSummary>())],
    ),
    read(
        Operation::ListLags,
        "/kafka/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}/lags",
        "listKafkaConsumerLags",
        "Lists how far a consumer group is behind in each partition.",
        &[shape(200, "The lags", Shape::of::<List<Lag>>())],
    ),
    read(
        Operation::GetLag,
        "/kafka/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}/lags/{topic_name}/partitions/{partition_id}",
        "getKafkaConsumerLag",
        "Reads how far a consumer group is behind in a partition.",
        &[shape(200, "The lag", Shape::of::<Lag>())],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ENDPOINTS;
    use crate::kafka_rest::PREFIX;

    #[test]
    fn every_row_is_one_operation_with_one_place_and_one_name() {
        let operations: BTreeSet<_> = ENDPOINTS.iter().map(|endpoint| endpoint.operation).collect();
        let places: BTreeSet<_> = ENDPOINTS.iter().map(|endpoint| (endpoint.method, endpoint.path)).collect();
        let names: BTreeSet<_> = ENDPOINTS.iter().map(|endpoint| endpoint.operation_id).collect();
        assert_eq!([operations.len(), places.len(), names.len()], [ENDPOINTS.len(); 3]);
        assert!(ENDPOINTS.iter().all(|endpoint| endpoint.path.starts_with(PREFIX)));
        assert!(ENDPOINTS.iter().all(|endpoint| !endpoint.answers.is_empty()));
    }

    #[test]
    fn no_schema_has_the_name_of_another() {
        let shapes = ENDPOINTS.iter().flat_map(|endpoint| {
            endpoint.body.into_iter().chain(endpoint.answers.iter().filter_map(|answer| answer.body))
        });
        let mut seen = std::collections::BTreeMap::new();
        for (name, schema) in shapes.flat_map(|shape| shape.schemas()) {
            let text = serde_json::to_string(&schema).expect("a schema");
            let known = seen.entry(name.clone()).or_insert_with(|| text.clone());
            assert_eq!(*known, text, "two schemas are called {name}");
        }
        assert!(seen.len() > 20, "only {} schemas", seen.len());
    }
}
