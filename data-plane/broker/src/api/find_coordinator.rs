//! FindCoordinator: which broker keeps a group. The address must be the one that Metadata names for that broker.

use std::borrow::Cow;

use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use millstream_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};

use super::RequestContext;

/// The coordinator of a consumer group.
const GROUP: i8 = 0;
/// The coordinator of a transactional id.
const TRANSACTION: i8 = 1;
/// First version that asks for many keys at once.
const FIRST_BATCH_VERSION: i16 = 4;

pub(super) async fn handle<'a>(
    ctx: &RequestContext<'_>,
    request: FindCoordinatorRequest<'a>,
) -> FindCoordinatorResponse<'a> {
    if ctx.api_version < FIRST_BATCH_VERSION {
        let found = find(ctx, request.key_type, request.key);
        return FindCoordinatorResponse {
            error_code: found.error_code,
            error_message: found.error_message,
            node_id: found.node_id,
            host: found.host,
            port: found.port,
            ..FindCoordinatorResponse::default()
        };
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| find(ctx, request.key_type, key));
    FindCoordinatorResponse { coordinators: coordinators.collect(), ..FindCoordinatorResponse::default() }
}

fn find<'a>(ctx: &RequestContext<'_>, key_type: i8, key: Cow<'a, str>) -> Coordinator<'a> {
    let settings = &ctx.broker.settings;
    match check(ctx, key_type, &key) {
        Ok(()) => Coordinator {
            key,
            node_id: settings.broker_id,
            host: ctx.authenticated.listener.host.clone().into(),
            port: i32::from(ctx.authenticated.listener.port),
            error_code: ErrorCode::None.code(),
            error_message: None,
        },
        Err((code, message)) => Coordinator {
            key,
            node_id: -1,
            host: "".into(),
            port: -1,
            error_code: code.code(),
            error_message: Some(message.into()),
        },
    }
}

fn check(ctx: &RequestContext<'_>, key_type: i8, key: &str) -> Result<(), (ErrorCode, &'static str)> {
    let resource = match key_type {
        GROUP => KafkaResource::Group,
        TRANSACTION => KafkaResource::TransactionalId,
        _ => return Err((ErrorCode::InvalidRequest, "the key type is not known to this cluster")),
    };
    ctx.check(Operation::Describe, resource, key).map_err(|code| (code, code.message()))?;
    if key_type == TRANSACTION {
        return Err((ErrorCode::InvalidRequest, "transactions are not available on this cluster"));
    }
    Ok(())
}
