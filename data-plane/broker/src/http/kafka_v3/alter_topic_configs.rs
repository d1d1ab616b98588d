//! `POST /kafka/v3/clusters/{cluster}/topics/{topic}/configs:alter`: sets and resets configs, all or none.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use millstream_api::kafka_rest::config::{AlterConfigs, AlterOperation};
use millstream_api::role::Operation;
use millstream_metadata::decide::{ConfigAlteration, ConfigOperation, Mode};

use super::scope::Scope;
use super::{topic, topic_config};
use crate::broker::Broker;
use crate::http::error::RestError;
use crate::http::json::JsonBody;
use crate::topics;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    JsonBody(request): JsonBody<AlterConfigs>,
) -> Result<StatusCode, RestError> {
    topic::find(&broker, &scope, &name, Operation::AlterConfigs)?;
    let mut alterations = Vec::with_capacity(request.data.len());
    for alteration in request.data {
        topic_config::check_name(&alteration.name)?;
        let operation = match alteration.operation {
            Some(AlterOperation::Delete) => ConfigOperation::Delete,
            Some(AlterOperation::Set) | None => ConfigOperation::Set,
        };
        let value = alteration.value.map(|value| value.0);
        alterations.push(ConfigAlteration { name: alteration.name, operation, value });
    }
    let mode = Mode::from_validate_only(request.validate_only.unwrap_or(false));
    topics::alter_configs(&broker, &scope.tenant, &name, alterations, mode).await?;
    Ok(StatusCode::NO_CONTENT)
}
