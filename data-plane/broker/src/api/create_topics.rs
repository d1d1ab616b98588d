//! CreateTopics: each topic on its own, with its own error.

use std::collections::{BTreeMap, HashMap};

use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::decide::{Assignments, CreatedTopic, Mode};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use millstream_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};

use super::RequestContext;
use super::describe_configs::{SOURCE_DEFAULT, SOURCE_TOPIC};
use crate::topics::{self, NewTopic};

pub(super) async fn handle<'a>(ctx: &RequestContext<'_>, request: CreateTopicsRequest<'a>) -> CreateTopicsResponse<'a> {
    let mut times_named: HashMap<String, usize> = HashMap::new();
    for topic in &request.topics {
        *times_named.entry(topic.name.to_string()).or_default() += 1;
    }
    let mode = Mode::from_validate_only(request.validate_only);
    let mut topics = Vec::with_capacity(times_named.len());
    for topic in request.topics {
        match times_named.get(topic.name.as_ref()) {
            Some(1) => topics.push(create(ctx, topic, mode).await),
            // Kafka answers a repeated name once, with an error.
            Some(_) => {
                times_named.remove(topic.name.as_ref());
                topics.push(CreatableTopicResult {
                    error_code: ErrorCode::InvalidRequest.code(),
                    error_message: Some("the topic is named more than once in the request".into()),
                    name: topic.name,
                    ..CreatableTopicResult::default()
                });
            }
            None => {}
        }
    }
    let throttle_time_ms = ctx.throttle_time_ms_of(topics.iter().map(|topic| topic.error_code));
    CreateTopicsResponse { topics, throttle_time_ms }
}

async fn create<'a>(ctx: &RequestContext<'_>, topic: CreatableTopic<'a>, mode: Mode) -> CreatableTopicResult<'a> {
    let may_create_any = ctx.allows_on_cluster(Operation::Create);
    if !may_create_any && let Err(code) = ctx.check(Operation::Create, KafkaResource::Topic, &topic.name) {
        return CreatableTopicResult {
            error_code: code.code(),
            error_message: Some("Authorization failed.".into()),
            name: topic.name,
            ..CreatableTopicResult::default()
        };
    }
    let tenant = &ctx.authenticated.credential.tenant;
    let mut assignments = Assignments::new();
    for assignment in &topic.assignments {
        assignments.insert(assignment.partition_index, assignment.broker_ids.clone());
    }
    let repeats = assignments.len() != topic.assignments.len();
    let mut configs: BTreeMap<String, Option<String>> = BTreeMap::new();
    for config in &topic.configs {
        configs.insert(config.name.to_string(), config.value.as_ref().map(ToString::to_string));
    }
    if repeats {
        return CreatableTopicResult {
            error_code: ErrorCode::InvalidReplicaAssignment.code(),
            error_message: Some("a partition is assigned more than once".into()),
            name: topic.name,
            ..CreatableTopicResult::default()
        };
    }
    let wanted = NewTopic {
        name: topic.name.to_string(),
        partition_count: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments,
        configs,
        mode,
    };
    match topics::create(ctx.broker, tenant, wanted).await {
        Ok(created) => {
            let created_topic = CreatableTopicResult {
                topic_id: if mode == Mode::Apply { created.topic_id } else { uuid::Uuid::nil() },
                error_code: ErrorCode::None.code(),
                ..CreatableTopicResult::default()
            };
            match ctx.check(Operation::DescribeConfigs, KafkaResource::Topic, &topic.name) {
                Ok(()) => CreatableTopicResult {
                    num_partitions: created.partition_count,
                    replication_factor: created.replication_factor,
                    configs: Some(describe(&created)),
                    name: topic.name,
                    ..created_topic
                },
                Err(code) => {
                    CreatableTopicResult { topic_config_error_code: code.code(), name: topic.name, ..created_topic }
                }
            }
        }
        Err(error) => CreatableTopicResult {
            error_code: error.code().code(),
            error_message: Some(error.to_string().into()),
            name: topic.name,
            ..CreatableTopicResult::default()
        },
    }
}

fn describe(created: &CreatedTopic) -> Vec<CreatableTopicConfigs<'static>> {
    topics::describe_config_values(&created.configs)
        .into_iter()
        .map(|entry| CreatableTopicConfigs {
            name: entry.name.into(),
            value: Some(entry.value.into()),
            read_only: entry.is_read_only,
            config_source: if entry.is_set { SOURCE_TOPIC } else { SOURCE_DEFAULT },
            is_sensitive: false,
        })
        .collect()
}
