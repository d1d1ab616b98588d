//! DeleteGroups: removes groups that have no members, with their committed offsets.

use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use millstream_protocol::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};

use super::RequestContext;

pub(super) async fn handle<'a>(ctx: &RequestContext<'_>, request: DeleteGroupsRequest<'a>) -> DeleteGroupsResponse<'a> {
    let results = request.groups_names.into_iter().map(|group_id| {
        let code = delete(ctx, &group_id);
        DeletableGroupResult { group_id, error_code: code.code() }
    });
    DeleteGroupsResponse { results: results.collect(), ..DeleteGroupsResponse::default() }
}

fn delete(ctx: &RequestContext<'_>, group_id: &str) -> ErrorCode {
    if let Err(code) = ctx.check(Operation::Delete, KafkaResource::Group, group_id) {
        return code;
    }
    match ctx.broker.groups.delete_group(&ctx.authenticated.credential.tenant, group_id) {
        Ok(()) => ErrorCode::None,
        Err(error) => error.code(),
    }
}
