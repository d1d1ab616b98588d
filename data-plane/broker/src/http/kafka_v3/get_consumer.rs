//! `GET /kafka/v3/clusters/{cluster}/consumer-groups/{group}/consumers/{consumer}`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::consumer_group::Consumer;

use super::consumer;
use super::consumer_group;
use super::scope::Scope;
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, group_id, consumer_id)): Path<(String, String, String)>,
) -> Result<Json<Consumer>, RestError> {
    let group = consumer_group::find(&broker, &scope, &group_id)?;
    let member = consumer::find(&group, &consumer_id)?;
    Ok(Json(consumer::of(&scope, &group_id, member)))
}
