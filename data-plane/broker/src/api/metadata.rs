//! Metadata: topics, their partitions and leaders, and the brokers to reach them.
//!
//! A named topic that does not exist is created if the request and the broker allow it, as Kafka does. Answers
//! show one tenant's topics under the id of its logical cluster; nobody else's exist.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::decide::Mode;
use millstream_metadata::image::{MetadataImage, TopicImage};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use millstream_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use uuid::Uuid;

use super::RequestContext;
use crate::authorized_operations::{self, NOT_ASKED};
use crate::topics::{self, NewTopic};

/// First version whose empty topic list means "none" instead of "all".
const FIRST_EMPTY_MEANS_NONE: i16 = 1;

pub(super) async fn handle<'a>(ctx: &RequestContext<'_>, request: MetadataRequest<'a>) -> MetadataResponse<'a> {
    let broker = ctx.broker;
    let tenant = &ctx.authenticated.credential.tenant;
    let is_everything = match &request.topics {
        None => true,
        Some(topics) => topics.is_empty() && ctx.api_version < FIRST_EMPTY_MEANS_NONE,
    };
    let mut found = Vec::new();
    if is_everything {
        let image = broker.metadata.image();
        let all = image.tenant(tenant).into_iter().flat_map(|tenant| tenant.topics());
        let visible = all.filter(|topic| ctx.allows(Operation::Describe, KafkaResource::Topic, topic.name.as_str()));
        found.extend(visible.map(|topic| describe(ctx, &image, topic, &request)));
    } else {
        for wanted in request.topics.as_deref().unwrap_or_default() {
            found.push(describe_wanted(ctx, wanted, &request).await);
        }
    }
    let image = broker.metadata.image();
    let brokers = live_brokers(&image, &ctx.authenticated.listener.name)
        .map(|(node_id, host, port)| MetadataResponseBroker { node_id, host: host.to_owned().into(), port, rack: None })
        .collect();
    MetadataResponse {
        brokers,
        cluster_id: Some(tenant.to_string().into()),
        controller_id: broker.settings.broker_id,
        topics: found,
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            authorized_operations::on_cluster(ctx.authenticated.grants())
        } else {
            NOT_ASKED
        },
        ..MetadataResponse::default()
    }
}

/// Unfenced brokers with the address of their listener of this name.
pub(super) fn live_brokers<'a>(
    image: &'a MetadataImage,
    listener: &'a str,
) -> impl Iterator<Item = (i32, &'a str, i32)> {
    image.brokers().filter(|broker| !broker.fenced).filter_map(move |broker| {
        let endpoint = broker.endpoints.iter().find(|endpoint| endpoint.listener == listener)?;
        Some((broker.id, endpoint.host.as_str(), i32::from(endpoint.port)))
    })
}

async fn describe_wanted<'a>(
    ctx: &RequestContext<'_>,
    wanted: &MetadataRequestTopic<'a>,
    request: &MetadataRequest<'a>,
) -> MetadataResponseTopic<'a> {
    let tenant = &ctx.authenticated.credential.tenant;
    let image = ctx.broker.metadata.image();
    // Java's client leaves the name empty, not null, when it asks by id.
    let asked_by_id = !wanted.topic_id.is_nil();
    let Some(name) = wanted.name.as_ref().filter(|_| !asked_by_id) else {
        return match image.topic_by_id(tenant, wanted.topic_id) {
            Some(topic) => match ctx.check(Operation::Describe, KafkaResource::Topic, topic.name.as_str()) {
                Ok(()) => describe(ctx, &image, topic, request),
                // The id is known to whoever asks with it; the name is not.
                Err(code) => missing(None, wanted.topic_id, code),
            },
            None => missing(None, wanted.topic_id, ErrorCode::UnknownTopicId),
        };
    };
    if let Err(code) = ctx.check(Operation::Describe, KafkaResource::Topic, name) {
        return missing(Some(name.clone()), Uuid::nil(), code);
    }
    if let Some(topic) = image.topic_by_name(tenant, name) {
        return describe(ctx, &image, topic, request);
    }
    let may_create = request.allow_auto_topic_creation && ctx.broker.settings.auto_create_topics;
    if !may_create {
        let code = match millstream_metadata::topic_name::TopicName::new(name) {
            Ok(_) => ErrorCode::UnknownTopicOrPartition,
            Err(_) => ErrorCode::InvalidTopicException,
        };
        return missing(Some(name.clone()), Uuid::nil(), code);
    }
    let may_create_any = ctx.allows_on_cluster(Operation::Create);
    if !may_create_any && let Err(code) = ctx.check(Operation::Create, KafkaResource::Topic, name) {
        return missing(Some(name.clone()), Uuid::nil(), code);
    }
    let topic = NewTopic {
        name: name.to_string(),
        partition_count: -1,
        replication_factor: -1,
        assignments: BTreeMap::new(),
        configs: BTreeMap::new(),
        mode: Mode::Apply,
    };
    let created = topics::create(ctx.broker, tenant, topic).await;
    // Another request may have created it in between, which is just as good.
    let image = ctx.broker.metadata.image();
    match (image.topic_by_name(tenant, name), created) {
        (Some(topic), _) => describe(ctx, &image, topic, request),
        (None, Err(error)) => missing(Some(name.clone()), Uuid::nil(), error.code()),
        (None, Ok(_)) => missing(Some(name.clone()), Uuid::nil(), ErrorCode::UnknownTopicOrPartition),
    }
}

fn missing(name: Option<Cow<'_, str>>, topic_id: Uuid, code: ErrorCode) -> MetadataResponseTopic<'_> {
    MetadataResponseTopic { error_code: code.code(), name, topic_id, ..MetadataResponseTopic::default() }
}

fn describe<'a>(
    ctx: &RequestContext<'_>,
    image: &MetadataImage,
    topic: &Arc<TopicImage>,
    request: &MetadataRequest<'_>,
) -> MetadataResponseTopic<'a> {
    let partitions = topic
        .partitions
        .iter()
        .enumerate()
        .map(|(index, partition)| {
            let is_offline = |replica: &&i32| !image.is_live(**replica);
            let leader = partition.leader.filter(|leader| image.is_live(*leader));
            let code = if leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
            MetadataResponsePartition {
                error_code: code.code(),
                partition_index: i32::try_from(index).unwrap_or(i32::MAX),
                leader_id: leader.unwrap_or(-1),
                leader_epoch: partition.leader_epoch,
                replica_nodes: partition.replicas.clone(),
                isr_nodes: partition.in_sync_replicas.clone(),
                offline_replicas: partition.replicas.iter().filter(is_offline).copied().collect(),
            }
        })
        .collect();
    MetadataResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(topic.name.to_string().into()),
        topic_id: topic.id,
        is_internal: false,
        partitions,
        topic_authorized_operations: if request.include_topic_authorized_operations {
            authorized_operations::on_topic(ctx.authenticated.grants(), topic.name.as_str())
        } else {
            NOT_ASKED
        },
    }
}
