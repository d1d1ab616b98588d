//! DescribeGroups: groups in detail. A group that does not exist is answered as dead, without an error.

use std::borrow::Cow;

use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use millstream_protocol::messages::describe_groups_response::{
    DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

use super::RequestContext;
use crate::authorized_operations;
use crate::groups::classic::group::State;
use crate::groups::shard::{Description, MemberDescription};

/// First version in which a group that does not exist is an error (KIP-1043).
const FIRST_NOT_FOUND_VERSION: i16 = 6;

pub(super) async fn handle<'a>(
    ctx: &RequestContext<'_>,
    request: DescribeGroupsRequest<'a>,
) -> DescribeGroupsResponse<'a> {
    let groups = request.groups.into_iter().map(|group_id| {
        let authorized_operations = if request.include_authorized_operations {
            authorized_operations::on_group(ctx.authenticated.grants(), &group_id)
        } else {
            authorized_operations::NOT_ASKED
        };
        describe(ctx, group_id, authorized_operations)
    });
    DescribeGroupsResponse { groups: groups.collect(), ..DescribeGroupsResponse::default() }
}

fn describe<'a>(ctx: &RequestContext<'_>, group_id: Cow<'a, str>, authorized_operations: i32) -> DescribedGroup<'a> {
    if let Err(code) = ctx.check(Operation::Describe, KafkaResource::Group, &group_id) {
        return DescribedGroup { group_id, error_code: code.code(), ..DescribedGroup::default() };
    }
    let tenant = &ctx.authenticated.credential.tenant;
    let group = match ctx.broker.groups.describe(tenant, &group_id) {
        Ok(group) => group,
        Err(error) => {
            return DescribedGroup { group_id, error_code: error.code().code(), ..DescribedGroup::default() };
        }
    };
    let Some(Description { state, protocol_type, protocol_name, members, .. }) = group else {
        let is_error = ctx.api_version >= FIRST_NOT_FOUND_VERSION;
        let error_code = if is_error { ErrorCode::GroupIdNotFound } else { ErrorCode::None };
        return DescribedGroup {
            error_message: is_error.then(|| format!("Group {group_id} not found.").into()),
            group_id,
            error_code: error_code.code(),
            group_state: State::Dead.name().into(),
            authorized_operations,
            ..DescribedGroup::default()
        };
    };
    DescribedGroup {
        group_id,
        group_state: state.name().into(),
        protocol_type: protocol_type.unwrap_or_default().into(),
        protocol_data: protocol_name.unwrap_or_default().into(),
        members: members.into_iter().map(describe_member).collect(),
        authorized_operations,
        ..DescribedGroup::default()
    }
}

fn describe_member(member: MemberDescription) -> DescribedGroupMember<'static> {
    DescribedGroupMember {
        member_id: member.member_id.into(),
        group_instance_id: member.group_instance_id.map(Cow::Owned),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        member_metadata: Cow::Owned(member.metadata.into()),
        member_assignment: Cow::Owned(member.assignment.into()),
    }
}
