//! DeleteAcls: every ACL that a filter means, all filters in one write. Needs Alter on the cluster, or a role that administers it.

use millstream_metadata::acl::{Acl, AclError, AclFilter, UncheckedFilter};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use millstream_protocol::messages::delete_acls_response::{
    DeleteAclsFilterResult, DeleteAclsMatchingAcl, DeleteAclsResponse,
};

use super::RequestContext;
use crate::acls;

pub(super) async fn handle(ctx: &RequestContext<'_>, request: DeleteAclsRequest<'_>) -> DeleteAclsResponse<'static> {
    if !ctx.authenticated.grants().may_alter_acls() {
        let refused = failed(ErrorCode::ClusterAuthorizationFailed, acls::NOT_AUTHORIZED.to_owned());
        let filter_results = vec![refused; request.filters.len()];
        return DeleteAclsResponse { filter_results, ..DeleteAclsResponse::default() };
    }
    let checked: Vec<Result<AclFilter, AclError>> = request.filters.iter().map(check).collect();
    let legal: Vec<AclFilter> = checked.iter().filter_map(|filter| filter.as_ref().ok().cloned()).collect();
    let filter_results = match acls::delete(ctx.broker, &ctx.authenticated.credential.tenant, legal).await {
        Ok(deleted) => {
            let mut deleted = deleted.into_iter();
            let results = checked.into_iter().map(|filter| filter.map(|_| deleted.next().unwrap_or_default()));
            results.map(to_result).collect()
        }
        Err(error) => vec![failed(error.code(), error.to_string()); checked.len()],
    };
    DeleteAclsResponse { filter_results, ..DeleteAclsResponse::default() }
}

fn check(filter: &DeleteAclsFilter<'_>) -> Result<AclFilter, AclError> {
    let unchecked = UncheckedFilter {
        resource_type: filter.resource_type_filter,
        resource_name: filter.resource_name_filter.as_deref(),
        pattern_type: filter.pattern_type_filter,
        principal: filter.principal_filter.as_deref(),
        host: filter.host_filter.as_deref(),
        operation: filter.operation,
        permission: filter.permission_type,
    };
    unchecked.check()
}

fn to_result(deleted: Result<Vec<Acl>, AclError>) -> DeleteAclsFilterResult<'static> {
    match deleted {
        Ok(acls) => DeleteAclsFilterResult {
            error_code: ErrorCode::None.code(),
            error_message: None,
            matching_acls: acls.iter().map(to_matching).collect(),
        },
        Err(error) => failed(acls::code_of(&error), error.to_string()),
    }
}

fn failed(code: ErrorCode, message: String) -> DeleteAclsFilterResult<'static> {
    DeleteAclsFilterResult { error_code: code.code(), error_message: Some(message.into()), matching_acls: Vec::new() }
}

fn to_matching(acl: &Acl) -> DeleteAclsMatchingAcl<'static> {
    DeleteAclsMatchingAcl {
        error_code: ErrorCode::None.code(),
        error_message: None,
        resource_type: acl.resource_type_code(),
        resource_name: acl.resource.name.clone().into(),
        pattern_type: acl.pattern_type_code(),
        principal: acl.entry.principal.to_string().into(),
        host: acl.entry.host.to_string().into(),
        operation: acl.operation_code(),
        permission_type: acl.permission_code(),
    }
}
