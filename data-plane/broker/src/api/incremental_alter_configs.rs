//! IncrementalAlterConfigs: sets, deletes, appends to or subtracts from single configs of a topic (KIP-339).

use millstream_api::role::Operation;
use millstream_metadata::decide::{ConfigAlteration, ConfigOperation, Mode};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, IncrementalAlterConfigsRequest,
};
use millstream_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

use super::RequestContext;
use super::alter_configs::ONLY_TOPICS;
use super::describe_configs::{self, TOPIC};
use crate::topics;

pub(super) async fn handle<'a>(
    ctx: &RequestContext<'_>,
    request: IncrementalAlterConfigsRequest<'a>,
) -> IncrementalAlterConfigsResponse<'a> {
    let mode = Mode::from_validate_only(request.validate_only);
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let (code, message) = alter(ctx, &resource, mode).await;
        responses.push(AlterConfigsResourceResponse {
            error_code: code.code(),
            error_message: message.map(Into::into),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() }
}

async fn alter(
    ctx: &RequestContext<'_>,
    resource: &AlterConfigsResource<'_>,
    mode: Mode,
) -> (ErrorCode, Option<String>) {
    let allowed =
        describe_configs::check(ctx, Operation::AlterConfigs, resource.resource_type, &resource.resource_name);
    if let Err(code) = allowed {
        return (code, Some(code.message().to_owned()));
    }
    if resource.resource_type != TOPIC {
        return (ErrorCode::InvalidRequest, Some(ONLY_TOPICS.to_owned()));
    }
    let mut alterations = Vec::with_capacity(resource.configs.len());
    for config in &resource.configs {
        let Some(operation) = ConfigOperation::from_number(config.config_operation) else {
            let message = format!("operation {} of config {} is unknown", config.config_operation, config.name);
            return (ErrorCode::InvalidRequest, Some(message));
        };
        alterations.push(ConfigAlteration {
            name: config.name.to_string(),
            operation,
            value: config.value.as_ref().map(ToString::to_string),
        });
    }
    let tenant = &ctx.authenticated.credential.tenant;
    match topics::alter_configs(ctx.broker, tenant, &resource.resource_name, alterations, mode).await {
        Ok(()) => (ErrorCode::None, None),
        Err(error) => (error.code(), Some(error.to_string())),
    }
}
