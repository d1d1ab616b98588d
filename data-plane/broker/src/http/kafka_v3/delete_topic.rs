//! `DELETE /kafka/v3/clusters/{cluster}/topics/{topic}`: 204, and the topic is gone when the answer leaves.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::decide::TopicSelector;

use super::scope::Scope;
use crate::broker::Broker;
use crate::http::error::RestError;
use crate::topics;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<StatusCode, RestError> {
    scope.check(Operation::Delete, KafkaResource::Topic, &name)?;
    topics::delete(&broker, &scope.tenant, TopicSelector::Name(name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
