//! A consumer group as JSON, and how to find one.

use millstream_api::kafka_rest::consumer_group::ConsumerGroup;
use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;

use super::scope::Scope;
use crate::broker::Broker;
use crate::groups::classic::group::State;
use crate::groups::error::GroupError;
use crate::groups::shard::Description;
use crate::groups::subscription::CONSUMER_PROTOCOL_TYPE;
use crate::http::error::RestError;

/// The group as it is answered.
pub(super) fn of(broker: &Broker, scope: &Scope, group_id: &str, description: &Description) -> ConsumerGroup {
    let links = &scope.links;
    // The broker that answers coordinates the groups it knows.
    let coordinator = broker.settings.broker_id.to_string();
    ConsumerGroup {
        kind: "KafkaConsumerGroup",
        metadata: links.metadata(&["consumer-groups", group_id], &[("consumer-group", group_id)]),
        cluster_id: scope.tenant.to_string(),
        consumer_group_id: group_id.to_owned(),
        is_simple: description.protocol_type.is_none(),
        partition_assignor: description.protocol_name.clone().unwrap_or_default(),
        state: state_name(description.state),
        group_type: "CLASSIC",
        is_mixed_consumer_group: false,
        coordinator: links.related(&["brokers", &coordinator]),
        consumers: links.related(&["consumer-groups", group_id, "consumers"]),
        lag_summary: links.related(&["consumer-groups", group_id, "lag-summary"]),
    }
}

/// Whether a group of this protocol type is one of consumers: other kinds of groups are not shown here.
pub(super) fn is_of_consumers(protocol_type: Option<&str>) -> bool {
    protocol_type.is_none_or(|protocol_type| protocol_type.is_empty() || protocol_type == CONSUMER_PROTOCOL_TYPE)
}

/// The group of this id in the caller's cluster, if the caller may see it.
pub(super) fn find(broker: &Broker, scope: &Scope, group_id: &str) -> Result<Description, RestError> {
    scope.check(Operation::Describe, KafkaResource::Group, group_id)?;
    let described = broker.groups.describe(&scope.tenant, group_id).map_err(refuse)?;
    let shown = described.filter(|group| is_of_consumers(group.protocol_type.as_deref()));
    shown.ok_or_else(unknown)
}

/// The answer for a group that does not exist.
pub(super) fn unknown() -> RestError {
    RestError::not_found("This cluster has no such consumer group.")
}

/// The answer when the coordinator refuses.
pub(super) fn refuse(error: GroupError) -> RestError {
    match error.code() {
        ErrorCode::GroupIdNotFound => unknown(),
        code if code.is_retriable() => RestError::retriable(error.to_string()),
        _ => RestError::invalid(error.to_string()),
    }
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Empty => "EMPTY",
        State::PreparingRebalance => "PREPARING_REBALANCE",
        State::CompletingRebalance => "COMPLETING_REBALANCE",
        State::Stable => "STABLE",
        State::Dead => "DEAD",
    }
}
