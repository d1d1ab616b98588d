//! AlterConfigs: replaces all configs of a topic. Clients of today use IncrementalAlterConfigs.

use std::collections::BTreeMap;

use millstream_api::role::Operation;
use millstream_metadata::decide::Mode;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use millstream_protocol::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};

use super::RequestContext;
use super::describe_configs::{self, TOPIC};
use crate::topics;

/// Why other resources are refused.
pub(super) const ONLY_TOPICS: &str = "only configs of topics can be changed on this cluster";

pub(super) async fn handle<'a>(ctx: &RequestContext<'_>, request: AlterConfigsRequest<'a>) -> AlterConfigsResponse<'a> {
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
    AlterConfigsResponse { responses, ..AlterConfigsResponse::default() }
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
    let tenant = &ctx.authenticated.credential.tenant;
    let configs: BTreeMap<String, Option<String>> = resource
        .configs
        .iter()
        .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)))
        .collect();
    match topics::replace_configs(ctx.broker, tenant, &resource.resource_name, configs, mode).await {
        Ok(()) => (ErrorCode::None, None),
        Err(error) => (error.code(), Some(error.to_string())),
    }
}
