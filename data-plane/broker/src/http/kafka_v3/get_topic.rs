//! `GET /kafka/v3/clusters/{cluster}/topics/{topic}`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::topic::Topic;
use millstream_api::role::Operation;

use super::scope::Scope;
use super::topic;
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<Topic>, RestError> {
    let topic = topic::find(&broker, &scope, &name, Operation::Describe)?;
    Ok(Json(topic::of(&scope, &topic)))
}
