//! `PATCH /kafka/v3/clusters/{cluster}/topics/{topic}`: more partitions.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::topic::{Topic, UpdateTopic};
use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::decide::Mode;

use super::scope::Scope;
use super::topic;
use crate::broker::Broker;
use crate::http::error::RestError;
use crate::http::json::JsonBody;
use crate::topics;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    JsonBody(request): JsonBody<UpdateTopic>,
) -> Result<Json<Topic>, RestError> {
    scope.check(Operation::Alter, KafkaResource::Topic, &name)?;
    topics::add_partitions(&broker, &scope.tenant, name.clone(), request.partitions_count, None, Mode::Apply).await?;
    let topic = topic::find(&broker, &scope, &name, Operation::Describe)?;
    Ok(Json(topic::of(&scope, &topic)))
}
