//! CreateAcls: each ACL for itself, all in one write. Needs Alter on the cluster, or a role that administers it.

use millstream_metadata::acl::{Acl, AclError, UncheckedAcl};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use millstream_protocol::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};

use super::RequestContext;
use crate::acls;

pub(super) async fn handle(ctx: &RequestContext<'_>, request: CreateAclsRequest<'_>) -> CreateAclsResponse<'static> {
    let count = request.creations.len();
    if !ctx.authenticated.grants().may_alter_acls() {
        let refused = failed(ErrorCode::ClusterAuthorizationFailed, acls::NOT_AUTHORIZED.to_owned());
        return CreateAclsResponse { results: vec![refused; count], ..CreateAclsResponse::default() };
    }
    let wanted: Vec<Result<Acl, AclError>> = request.creations.iter().map(check).collect();
    let results = match acls::create(ctx.broker, &ctx.authenticated.credential.tenant, wanted).await {
        Ok(results) => results.into_iter().map(to_result).collect(),
        Err(error) => vec![failed(error.code(), error.to_string()); count],
    };
    CreateAclsResponse { results, ..CreateAclsResponse::default() }
}

fn check(creation: &AclCreation<'_>) -> Result<Acl, AclError> {
    let unchecked = UncheckedAcl {
        resource_type: creation.resource_type,
        resource_name: &creation.resource_name,
        pattern_type: creation.resource_pattern_type,
        principal: &creation.principal,
        host: &creation.host,
        operation: creation.operation,
        permission: creation.permission_type,
    };
    unchecked.check()
}

fn to_result(result: Result<(), AclError>) -> AclCreationResult<'static> {
    match result {
        Ok(()) => AclCreationResult { error_code: ErrorCode::None.code(), error_message: None },
        Err(error) => failed(acls::code_of(&error), error.to_string()),
    }
}

fn failed(code: ErrorCode, message: String) -> AclCreationResult<'static> {
    AclCreationResult { error_code: code.code(), error_message: Some(message.into()) }
}
