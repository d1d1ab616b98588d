//! DescribeAcls: the ACLs that a filter means, by resource. Needs Describe on the cluster, or a role that administers it.

use millstream_metadata::acl::{Acl, UncheckedFilter};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::describe_acls_request::DescribeAclsRequest;
use millstream_protocol::messages::describe_acls_response::{
    AclDescription, DescribeAclsResource, DescribeAclsResponse,
};

use super::RequestContext;
use crate::acls;

pub(super) async fn handle(
    ctx: &RequestContext<'_>,
    request: DescribeAclsRequest<'_>,
) -> DescribeAclsResponse<'static> {
    if !ctx.authenticated.grants().may_describe_acls() {
        return failed(ErrorCode::ClusterAuthorizationFailed, acls::NOT_AUTHORIZED.to_owned());
    }
    let unchecked = UncheckedFilter {
        resource_type: request.resource_type_filter,
        resource_name: request.resource_name_filter.as_deref(),
        pattern_type: request.pattern_type_filter,
        principal: request.principal_filter.as_deref(),
        host: request.host_filter.as_deref(),
        operation: request.operation,
        permission: request.permission_type,
    };
    let filter = match unchecked.check() {
        Ok(filter) => filter,
        Err(error) => return failed(acls::code_of(&error), error.to_string()),
    };
    let found = acls::list(ctx.broker, &ctx.authenticated.credential.tenant, &filter);
    let resources = found.chunk_by(|one, next| one.resource == next.resource).map(to_resource).collect();
    DescribeAclsResponse { resources, error_message: None, ..DescribeAclsResponse::default() }
}

fn failed(code: ErrorCode, message: String) -> DescribeAclsResponse<'static> {
    DescribeAclsResponse {
        error_code: code.code(),
        error_message: Some(message.into()),
        ..DescribeAclsResponse::default()
    }
}

/// One resource of ACLs that are all about it.
fn to_resource(acls: &[Acl]) -> DescribeAclsResource<'static> {
    let first = &acls[0];
    let descriptions = acls.iter().map(|acl| AclDescription {
        principal: acl.entry.principal.to_string().into(),
        host: acl.entry.host.to_string().into(),
        operation: acl.operation_code(),
        permission_type: acl.permission_code(),
    });
    DescribeAclsResource {
        resource_type: first.resource_type_code(),
        resource_name: first.resource.name.clone().into(),
        pattern_type: first.pattern_type_code(),
        acls: descriptions.collect(),
    }
}
