//! `POST /kafka/v3/clusters/{cluster}/topics/{topic}/configs:alter`: sets and resets configs, all or none.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use millstream_api::role;
use millstream_metadata::decide::{ConfigAlteration, ConfigOperation, Mode};
use serde::Deserialize;

use super::config_value::ConfigValue;
use super::scope::Scope;
use super::{topic, topic_config};
use crate::broker::Broker;
use crate::http::error::RestError;
use crate::http::json::JsonBody;
use crate::topics;

#[derive(Deserialize)]
pub(super) struct AlterConfigs {
    data: Vec<Alteration>,
    validate_only: Option<bool>,
}

#[derive(Deserialize)]
struct Alteration {
    name: String,
    value: Option<ConfigValue>,
    operation: Option<Operation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Operation {
    Set,
    Delete,
}

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    JsonBody(request): JsonBody<AlterConfigs>,
) -> Result<StatusCode, RestError> {
    topic::find(&broker, &scope, &name, role::Operation::AlterConfigs)?;
    let mut alterations = Vec::with_capacity(request.data.len());
    for alteration in request.data {
        topic_config::check_name(&alteration.name)?;
        let operation = match alteration.operation {
            Some(Operation::Delete) => ConfigOperation::Delete,
            Some(Operation::Set) | None => ConfigOperation::Set,
        };
        let value = alteration.value.map(|value| value.0);
        alterations.push(ConfigAlteration { name: alteration.name, operation, value });
    }
    let mode = Mode::from_validate_only(request.validate_only.unwrap_or(false));
    topics::alter_configs(&broker, &scope.tenant, &name, alterations, mode).await?;
    Ok(StatusCode::NO_CONTENT)
}
