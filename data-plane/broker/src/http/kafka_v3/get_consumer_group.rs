//! `GET /kafka/v3/clusters/{cluster}/consumer-groups/{group}`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::consumer_group::ConsumerGroup;

use super::consumer_group;
use super::scope::Scope;
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, group_id)): Path<(String, String)>,
) -> Result<Json<ConsumerGroup>, RestError> {
    let description = consumer_group::find(&broker, &scope, &group_id)?;
    Ok(Json(consumer_group::of(&broker, &scope, &group_id, &description)))
}
