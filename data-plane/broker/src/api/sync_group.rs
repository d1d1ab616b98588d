//! SyncGroup: a member asks for its assignment; the leader brings everybody's. A follower's answer waits for the leader.

use std::borrow::Cow;

use bytes::Bytes;
use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::sync_group_request::SyncGroupRequest;
use millstream_protocol::messages::sync_group_response::SyncGroupResponse;

use super::RequestContext;
use crate::groups::classic::event::Sync;

/// First version that must name the protocol it believes in (KIP-559).
const FIRST_PROTOCOL_VERSION: i16 = 5;

pub(super) async fn handle(ctx: &RequestContext<'_>, request: SyncGroupRequest<'_>) -> SyncGroupResponse<'static> {
    if let Err(code) = ctx.check(Operation::Read, KafkaResource::Group, &request.group_id) {
        return refuse(code);
    }
    if request.group_id.is_empty() {
        return refuse(ErrorCode::InvalidGroupId);
    }
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if ctx.api_version >= FIRST_PROTOCOL_VERSION && !names_protocol {
        return refuse(ErrorCode::InconsistentGroupProtocol);
    }
    let assignments = request
        .assignments
        .into_iter()
        .map(|assignment| (assignment.member_id.into_owned(), Bytes::from(assignment.assignment.into_owned())));
    let sync = Sync {
        member_id: request.member_id.into_owned(),
        group_instance_id: request.group_instance_id.map(Cow::into_owned),
        generation_id: request.generation_id,
        protocol_type: request.protocol_type.map(Cow::into_owned),
        protocol_name: request.protocol_name.map(Cow::into_owned),
        assignments: assignments.collect(),
    };
    let tenant = &ctx.authenticated.credential.tenant;
    match ctx.broker.groups.sync(tenant, &request.group_id, sync).await {
        Ok(synced) => SyncGroupResponse {
            error_code: ErrorCode::None.code(),
            protocol_type: synced.protocol_type.map(Cow::Owned),
            protocol_name: synced.protocol_name.map(Cow::Owned),
            assignment: Cow::Owned(synced.assignment.into()),
            ..SyncGroupResponse::default()
        },
        Err(error) => refuse(error.code()),
    }
}

fn refuse(code: ErrorCode) -> SyncGroupResponse<'static> {
    SyncGroupResponse { error_code: code.code(), ..SyncGroupResponse::default() }
}
