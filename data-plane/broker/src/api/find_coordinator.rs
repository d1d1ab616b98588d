//! FindCoordinator: which broker keeps a group. The address must be the one that Metadata names for that broker.

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
    let refusal = match request.key_type {
        GROUP => None,
        TRANSACTION => Some("transactions are not available on this cluster"),
        _ => Some("the key type is not known to this cluster"),
    };
    let settings = &ctx.broker.settings;
    let (error_code, node_id, host, port) = match refusal {
        None => {
            let host = settings.advertised_host.clone();
            (ErrorCode::None.code(), settings.broker_id, host, i32::from(settings.advertised_port))
        }
        Some(_) => (ErrorCode::InvalidRequest.code(), -1, String::new(), -1),
    };
    if ctx.api_version < FIRST_BATCH_VERSION {
        return FindCoordinatorResponse {
            error_code,
            error_message: refusal.map(Into::into),
            node_id,
            host: host.into(),
            port,
            ..FindCoordinatorResponse::default()
        };
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| Coordinator {
        key,
        node_id,
        host: host.clone().into(),
        port,
        error_code,
        error_message: refusal.map(Into::into),
    });
    FindCoordinatorResponse { coordinators: coordinators.collect(), ..FindCoordinatorResponse::default() }
}
