//! DeleteTopics: by name, or by id from version 6 on.

use std::borrow::Cow;

use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::decide::TopicSelector;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use millstream_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};

use super::RequestContext;
use crate::topics;

pub(super) async fn handle<'a>(ctx: &RequestContext<'_>, request: DeleteTopicsRequest<'a>) -> DeleteTopicsResponse<'a> {
    let by_name =
        request.topic_names.into_iter().map(|name| DeleteTopicState { name: Some(name), ..Default::default() });
    let wanted: Vec<DeleteTopicState<'a>> = by_name.chain(request.topics).collect();
    let mut responses = Vec::with_capacity(wanted.len());
    for topic in wanted {
        responses.push(delete(ctx, topic).await);
    }
    let throttle_time_ms = ctx.throttle_time_ms_of(responses.iter().map(|response| response.error_code));
    DeleteTopicsResponse { responses, throttle_time_ms }
}

async fn delete<'a>(ctx: &RequestContext<'_>, topic: DeleteTopicState<'a>) -> DeletableTopicResult<'a> {
    let tenant = &ctx.authenticated.credential.tenant;
    let selector = match (&topic.name, topic.topic_id.is_nil()) {
        (Some(name), true) => TopicSelector::Name(name.to_string()),
        (None, false) => TopicSelector::Id(topic.topic_id),
        _ => {
            return result(topic, ErrorCode::InvalidRequest, Some("name either the topic or its id".into()));
        }
    };
    if let Err(refused) = authorize(ctx, &topic) {
        return refused;
    }
    match topics::delete(ctx.broker, tenant, selector).await {
        Ok(deleted) => DeletableTopicResult {
            name: Some(deleted.name.to_string().into()),
            topic_id: deleted.topic_id,
            error_code: ErrorCode::None.code(),
            error_message: None,
        },
        Err(error) => result(topic, error.code(), Some(error.to_string().into())),
    }
}

/// The refusal, unless the principal may delete the topic. Its name is told only to who may see it.
fn authorize<'a>(ctx: &RequestContext<'_>, topic: &DeleteTopicState<'a>) -> Result<(), DeletableTopicResult<'a>> {
    let image = ctx.broker.metadata.image();
    let by_id = || image.topic_by_id(&ctx.authenticated.credential.tenant, topic.topic_id);
    let name = topic.name.as_deref().or_else(|| by_id().map(|known| known.name.as_str()));
    // An id that does not exist is answered as unknown.
    let Some(name) = name else { return Ok(()) };
    let Err(code) = ctx.check(Operation::Delete, KafkaResource::Topic, name) else { return Ok(()) };
    let may_see = topic.name.is_some() || ctx.allows(Operation::Describe, KafkaResource::Topic, name);
    let name = may_see.then(|| name.to_owned().into());
    let topic = DeleteTopicState { name, topic_id: topic.topic_id };
    Err(result(topic, code, Some(code.message().into())))
}

fn result<'a>(
    topic: DeleteTopicState<'a>,
    code: ErrorCode,
    message: Option<Cow<'static, str>>,
) -> DeletableTopicResult<'a> {
    DeletableTopicResult { name: topic.name, topic_id: topic.topic_id, error_code: code.code(), error_message: message }
}
