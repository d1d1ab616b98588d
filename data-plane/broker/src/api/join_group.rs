//! JoinGroup: a member enters the next generation of its group. The answer waits for the rebalance.

use std::borrow::Cow;

use bytes::Bytes;
use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::join_group_request::JoinGroupRequest;
use millstream_protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use uuid::Uuid;

use super::RequestContext;
use crate::groups::classic::event::{Join, Joined, Protocol};

/// First version that knows how long a rebalance may take; before, the session timeout said it.
const FIRST_REBALANCE_TIMEOUT_VERSION: i16 = 1;
/// First version whose members join twice: once for an id, once with it (KIP-394).
const FIRST_TWO_STEP_VERSION: i16 = 4;
/// First version whose answer may lack a protocol name.
const FIRST_NULL_PROTOCOL_VERSION: i16 = 7;
/// First version that can tell a leader not to assign (KIP-814).
const FIRST_SKIP_ASSIGNMENT_VERSION: i16 = 9;

pub(super) async fn handle(ctx: &RequestContext<'_>, request: JoinGroupRequest<'_>) -> JoinGroupResponse<'static> {
    if let Err(code) = ctx.check(Operation::Read, KafkaResource::Group, &request.group_id) {
        return refuse(ctx.api_version, String::new(), code);
    }
    if request.group_id.is_empty() {
        return refuse(ctx.api_version, request.member_id.into_owned(), ErrorCode::InvalidGroupId);
    }
    let tenant = &ctx.authenticated.credential.tenant;
    let (group_id, join) = read(ctx, request);
    match ctx.broker.groups.join(tenant, &group_id, join).await {
        Ok(joined) => respond(ctx.api_version, joined),
        Err(refused) => refuse(ctx.api_version, refused.member_id, refused.error.code()),
    }
}

fn read(ctx: &RequestContext<'_>, request: JoinGroupRequest<'_>) -> (String, Join) {
    let version = ctx.api_version;
    let has_rebalance_timeout = version >= FIRST_REBALANCE_TIMEOUT_VERSION;
    let group_instance_id = request.group_instance_id.map(Cow::into_owned);
    let name = group_instance_id.as_deref().unwrap_or(ctx.client_id);
    let protocols = request.protocols.into_iter().map(|protocol| Protocol {
        name: protocol.name.into_owned(),
        metadata: Bytes::from(protocol.metadata.into_owned()),
    });
    let join = Join {
        client_id: ctx.client_id.to_owned(),
        // As Java prints an address without a host name, which is what tools expect.
        client_host: format!("/{}", ctx.client_host),
        member_id: request.member_id.into_owned(),
        new_member_id: format!("{name}-{}", Uuid::new_v4()),
        group_instance_id,
        protocol_type: request.protocol_type.into_owned(),
        protocols: protocols.collect(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if has_rebalance_timeout {
            request.rebalance_timeout_ms
        } else {
            request.session_timeout_ms
        },
        knows_two_step_join: version >= FIRST_TWO_STEP_VERSION,
        knows_skip_assignment: version >= FIRST_SKIP_ASSIGNMENT_VERSION,
    };
    (request.group_id.into_owned(), join)
}

fn respond(version: i16, joined: Joined) -> JoinGroupResponse<'static> {
    let members = joined.members.into_iter().map(|member| JoinGroupResponseMember {
        member_id: member.member_id.into(),
        group_instance_id: member.group_instance_id.map(Cow::Owned),
        metadata: Cow::Owned(member.metadata.into()),
    });
    JoinGroupResponse {
        error_code: ErrorCode::None.code(),
        generation_id: joined.generation_id,
        protocol_type: joined.protocol_type.map(Cow::Owned),
        protocol_name: protocol_name(version, joined.protocol_name),
        leader: joined.leader.into(),
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id.into(),
        members: members.collect(),
        ..JoinGroupResponse::default()
    }
}

fn refuse(version: i16, member_id: String, code: ErrorCode) -> JoinGroupResponse<'static> {
    JoinGroupResponse {
        error_code: code.code(),
        protocol_name: protocol_name(version, None),
        member_id: member_id.into(),
        ..JoinGroupResponse::default()
    }
}

fn protocol_name(version: i16, name: Option<String>) -> Option<Cow<'static, str>> {
    let may_be_null = version >= FIRST_NULL_PROTOCOL_VERSION;
    match name {
        None if may_be_null => None,
        name => Some(name.unwrap_or_default().into()),
    }
}

#[cfg(test)]
mod tests {
    use millstream_protocol::writer::Writer;

    use super::*;
    use crate::groups::classic::event::JoinedMember;

    #[test]
    fn every_version_can_say_yes_and_no() {
        for version in JoinGroupResponse::MIN_VERSION..=JoinGroupResponse::MAX_VERSION {
            let member = JoinedMember {
                member_id: "a".into(),
                group_instance_id: Some("instance".into()),
                metadata: Bytes::from_static(b"subscription"),
            };
            let joined = Joined {
                member_id: "a".into(),
                generation_id: 1,
                protocol_type: Some("consumer".into()),
                protocol_name: Some("range".into()),
                leader: "a".into(),
                skip_assignment: version >= FIRST_SKIP_ASSIGNMENT_VERSION,
                members: vec![member],
            };
            for response in [respond(version, joined), refuse(version, String::new(), ErrorCode::UnknownMemberId)] {
                assert_eq!(response.encode(&mut Writer::new(), version), Ok(()), "version {version}");
            }
        }
    }
}
