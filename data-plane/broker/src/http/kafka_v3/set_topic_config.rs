//! `PUT /kafka/v3/clusters/{cluster}/topics/{topic}/configs/{name}`: sets one config.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use millstream_api::kafka_rest::config::SetConfig;
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
    Path((_, name, config)): Path<(String, String, String)>,
    JsonBody(request): JsonBody<SetConfig>,
) -> Result<StatusCode, RestError> {
    topic::find(&broker, &scope, &name, Operation::AlterConfigs)?;
    topic_config::check_name(&config)?;
    let value = request.value.map(|value| value.0);
    let alteration = ConfigAlteration { name: config, operation: ConfigOperation::Set, value };
    topics::alter_configs(&broker, &scope.tenant, &name, vec![alteration], Mode::Apply).await?;
    Ok(StatusCode::NO_CONTENT)
}
