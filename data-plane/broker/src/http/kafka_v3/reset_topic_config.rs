//! `DELETE /kafka/v3/clusters/{cluster}/topics/{topic}/configs/{name}`: returns one config to its default.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use millstream_api::role::Operation;
use millstream_metadata::decide::{ConfigAlteration, ConfigOperation, Mode};

use super::scope::Scope;
use super::{topic, topic_config};
use crate::broker::Broker;
use crate::http::error::RestError;
use crate::topics;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, name, config)): Path<(String, String, String)>,
) -> Result<StatusCode, RestError> {
    topic::find(&broker, &scope, &name, Operation::AlterConfigs)?;
    topic_config::check_name(&config)?;
    let alteration = ConfigAlteration { name: config, operation: ConfigOperation::Delete, value: None };
    topics::alter_configs(&broker, &scope.tenant, &name, vec![alteration], Mode::Apply).await?;
    Ok(StatusCode::NO_CONTENT)
}
