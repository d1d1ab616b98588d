//! LeaveGroup: members go, or an administrator removes them. Before version 3 a request names one member and has one
//! outcome; from then on each member has its own.

use std::borrow::Cow;

use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::leave_group_request::LeaveGroupRequest;
use millstream_protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};

use super::RequestContext;
use crate::groups::classic::event::{Leaver, Left};
use crate::groups::error::GroupError;

/// First version that names many members.
const FIRST_BATCH_VERSION: i16 = 3;

pub(super) async fn handle(ctx: &RequestContext<'_>, request: LeaveGroupRequest<'_>) -> LeaveGroupResponse<'static> {
    if let Err(code) = ctx.check(Operation::Read, KafkaResource::Group, &request.group_id) {
        return refuse(code);
    }
    if request.group_id.is_empty() {
        return refuse(ErrorCode::InvalidGroupId);
    }
    let is_batch = ctx.api_version >= FIRST_BATCH_VERSION;
    let leavers = if is_batch {
        let leavers = request.members.into_iter().map(|member| Leaver {
            member_id: member.member_id.into_owned(),
            group_instance_id: member.group_instance_id.map(Cow::into_owned),
        });
        leavers.collect()
    } else {
        vec![Leaver { member_id: request.member_id.into_owned(), group_instance_id: None }]
    };
    let tenant = &ctx.authenticated.credential.tenant;
    match ctx.broker.groups.leave(tenant, &request.group_id, leavers).await {
        Ok(left) if is_batch => {
            LeaveGroupResponse { members: left.into_iter().map(respond).collect(), ..LeaveGroupResponse::default() }
        }
        Ok(left) => refuse(code(left.first().and_then(|left| left.error))),
        Err(error) => refuse(error.code()),
    }
}

fn respond(left: Left) -> MemberResponse<'static> {
    MemberResponse {
        member_id: left.leaver.member_id.into(),
        group_instance_id: left.leaver.group_instance_id.map(Cow::Owned),
        error_code: code(left.error).code(),
    }
}

fn code(error: Option<GroupError>) -> ErrorCode {
    error.map_or(ErrorCode::None, GroupError::code)
}

fn refuse(code: ErrorCode) -> LeaveGroupResponse<'static> {
    LeaveGroupResponse { error_code: code.code(), ..LeaveGroupResponse::default() }
}

#[cfg(test)]
mod tests {
    use millstream_protocol::writer::Writer;

    use super::*;

    #[test]
    fn every_version_can_say_yes_and_no() {
        for version in LeaveGroupResponse::MIN_VERSION..=LeaveGroupResponse::MAX_VERSION {
            let leaver = Leaver { member_id: "a".into(), group_instance_id: Some("instance".into()) };
            let left = Left { leaver, error: Some(GroupError::FencedInstanceId) };
            let answered = if version >= FIRST_BATCH_VERSION {
                LeaveGroupResponse { members: vec![respond(left)], ..LeaveGroupResponse::default() }
            } else {
                refuse(code(left.error))
            };
            for response in [answered, refuse(ErrorCode::None)] {
                assert_eq!(response.encode(&mut Writer::new(), version), Ok(()), "version {version}");
            }
        }
    }
}
