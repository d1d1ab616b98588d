//! DescribeCluster: the brokers that a client may connect to.

use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use millstream_protocol::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};

use super::RequestContext;
use super::metadata::live_brokers;
use crate::authorized_operations::{self, NOT_ASKED};

/// Asks for brokers, not for controllers.
const BROKER_ENDPOINTS: i8 = 1;

pub(super) async fn handle(
    ctx: &RequestContext<'_>,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse<'static> {
    if request.endpoint_type != BROKER_ENDPOINTS {
        return DescribeClusterResponse {
            error_code: ErrorCode::MismatchedEndpointType.code(),
            error_message: Some("this listener serves brokers, not controllers".into()),
            ..DescribeClusterResponse::default()
        };
    }
    let image = ctx.broker.metadata.image();
    let brokers = live_brokers(&image, &ctx.authenticated.listener.name)
        .map(|(broker_id, host, port)| DescribeClusterBroker {
            broker_id,
            host: host.to_owned().into(),
            port,
            ..DescribeClusterBroker::default()
        })
        .collect();
    DescribeClusterResponse {
        cluster_id: ctx.authenticated.credential.tenant.to_string().into(),
        controller_id: ctx.broker.settings.broker_id,
        brokers,
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            authorized_operations::on_cluster(ctx.authenticated.grants())
        } else {
            NOT_ASKED
        },
        ..DescribeClusterResponse::default()
    }
}
