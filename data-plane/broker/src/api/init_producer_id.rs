//! InitProducerId: an id and an epoch for an idempotent producer.
//!
//! Transactions are not served, so a transactional id is refused.

use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use millstream_protocol::messages::init_producer_id_response::InitProducerIdResponse;
use tracing::error;

use super::RequestContext;

/// "No producer id" and "no producer epoch".
const NONE: i64 = -1;

pub(super) async fn handle(ctx: &RequestContext<'_>, request: InitProducerIdRequest<'_>) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        return refuse(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    // Who may write somewhere may write idempotently (KIP-679).
    let may_write = ctx.authenticated.grants().allows_somewhere(Operation::Write, KafkaResource::Topic);
    if !may_write && let Err(code) = ctx.check_cluster(Operation::IdempotentWrite) {
        return refuse(code);
    }
    match ctx.broker.producer_ids.next(&ctx.broker.metadata).await {
        Ok(producer_id) => InitProducerIdResponse {
            error_code: ErrorCode::None.code(),
            producer_id,
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        },
        Err(error) => {
            error!(%error, "cannot allocate a producer id");
            refuse(ErrorCode::CoordinatorNotAvailable)
        }
    }
}

fn refuse(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: code.code(),
        producer_id: NONE,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    }
}
