//! CreatePartitions: more partitions for existing topics.

use std::collections::HashSet;

use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::decide::Mode;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use millstream_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};

use super::RequestContext;
use crate::topics;

pub(super) async fn handle<'a>(
    ctx: &RequestContext<'_>,
    request: CreatePartitionsRequest<'a>,
) -> CreatePartitionsResponse<'a> {
    let mode = Mode::from_validate_only(request.validate_only);
    let mut seen = HashSet::new();
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        if !seen.insert(topic.name.to_string()) {
            results.push(CreatePartitionsTopicResult {
                name: topic.name,
                error_code: ErrorCode::InvalidRequest.code(),
                error_message: Some("the topic is named more than once in the request".into()),
            });
            continue;
        }
        results.push(add(ctx, topic, mode).await);
    }
    let throttle_time_ms = ctx.throttle_time_ms_of(results.iter().map(|result| result.error_code));
    CreatePartitionsResponse { results, throttle_time_ms }
}

async fn add<'a>(
    ctx: &RequestContext<'_>,
    topic: CreatePartitionsTopic<'a>,
    mode: Mode,
) -> CreatePartitionsTopicResult<'a> {
    if let Err(code) = ctx.check(Operation::Alter, KafkaResource::Topic, &topic.name) {
        let error_message = Some(code.message().into());
        return CreatePartitionsTopicResult { name: topic.name, error_code: code.code(), error_message };
    }
    let tenant = &ctx.authenticated.credential.tenant;
    let assignments =
        topic.assignments.map(|assignments| assignments.into_iter().map(|assignment| assignment.broker_ids).collect());
    let added =
        topics::add_partitions(ctx.broker, tenant, topic.name.to_string(), topic.count, assignments, mode).await;
    let (code, message) = match added {
        Ok(_) => (ErrorCode::None, None),
        Err(error) => (error.code(), Some(error.to_string().into())),
    };
    CreatePartitionsTopicResult { name: topic.name, error_code: code.code(), error_message: message }
}
