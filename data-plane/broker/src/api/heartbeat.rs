//! Heartbeat: a member is alive, and learns whether its group rebalances.

use std::borrow::Cow;

use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::heartbeat_request::HeartbeatRequest;
use millstream_protocol::messages::heartbeat_response::HeartbeatResponse;

use super::RequestContext;
use crate::groups::classic::event::Heartbeat;

pub(super) async fn handle(ctx: &RequestContext<'_>, request: HeartbeatRequest<'_>) -> HeartbeatResponse {
    let code = beat(ctx, request).await;
    HeartbeatResponse { error_code: code.code(), ..HeartbeatResponse::default() }
}

async fn beat(ctx: &RequestContext<'_>, request: HeartbeatRequest<'_>) -> ErrorCode {
    if let Err(code) = ctx.check(Operation::Read, KafkaResource::Group, &request.group_id) {
        return code;
    }
    if request.group_id.is_empty() {
        return ErrorCode::InvalidGroupId;
    }
    let heartbeat = Heartbeat {
        member_id: request.member_id.into_owned(),
        group_instance_id: request.group_instance_id.map(Cow::into_owned),
        generation_id: request.generation_id,
    };
    let tenant = &ctx.authenticated.credential.tenant;
    match ctx.broker.groups.heartbeat(tenant, &request.group_id, heartbeat).await {
        Ok(()) => ErrorCode::None,
        Err(error) => error.code(),
    }
}
