//! The Kafka APIs, one file each, and the dispatch from a frame to its handler.
//!
//! Promises: a frame is decoded within its bounds or the connection closes; what is not in the version table is
//! not served; nothing but the login is answered before the login. Never touches a socket.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use millstream_api::role::{KafkaResource, Operation};
use millstream_log::Slice;
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error::{DecodeError, EncodeError};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::frame;
use millstream_protocol::reader::Reader;
use millstream_protocol::version_table;
use millstream_protocol::writer::{OutputPiece, Writer};

use crate::broker::Broker;
use crate::network::output::Piece;
use crate::quotas::connection::to_throttle_time_ms;
use crate::session::{Authenticated, Session};

pub(crate) mod alter_configs;
pub(crate) mod api_versions;
pub(crate) mod create_acls;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_acls;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod delete_topics;
pub(crate) mod describe_acls;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod sasl_authenticate;
pub(crate) mod sasl_handshake;
pub(crate) mod sync_group;

/// Longest client id that is kept; longer ones are cut for metrics and member ids.
const MAX_CLIENT_ID_BYTES: usize = 255;

/// Who asks, and how.
pub(crate) struct RequestContext<'a> {
    pub(crate) broker: &'a Arc<Broker>,
    pub(crate) authenticated: &'a Authenticated,
    pub(crate) client_id: &'a str,
    pub(crate) client_host: IpAddr,
    pub(crate) api_version: i16,
    /// The whole request, without its length.
    pub(crate) request_bytes: usize,
    /// How long the connection waits after this request because of the number of its tenant's requests.
    pub(crate) request_wait: Duration,
}

impl RequestContext<'_> {
    /// Whether the principal may do this to a topic, group or transactional id.
    pub(crate) fn allows(&self, operation: Operation, resource: KafkaResource, name: &str) -> bool {
        self.authenticated.grants().allows(operation, resource, name)
    }

    /// Whether the principal may do this to the logical cluster.
    pub(crate) fn allows_on_cluster(&self, operation: Operation) -> bool {
        self.authenticated.grants().allows_on_cluster(operation)
    }

    /// Kafka's error, unless the principal may do this to a topic, group or transactional id. Whether it exists must not
    /// make a difference.
    pub(crate) fn check(&self, operation: Operation, resource: KafkaResource, name: &str) -> Result<(), ErrorCode> {
        if self.allows(operation, resource, name) { Ok(()) } else { Err(denied(resource)) }
    }

    /// Kafka's error, unless the principal may do this to the logical cluster.
    pub(crate) fn check_cluster(&self, operation: Operation) -> Result<(), ErrorCode> {
        if self.allows_on_cluster(operation) { Ok(()) } else { Err(denied(KafkaResource::Cluster)) }
    }
}

/// Kafka's error for what a principal may not do to a resource.
pub(crate) fn denied(resource: KafkaResource) -> ErrorCode {
    match resource {
        KafkaResource::Topic => ErrorCode::TopicAuthorizationFailed,
        KafkaResource::Group => ErrorCode::GroupAuthorizationFailed,
        KafkaResource::TransactionalId => ErrorCode::TransactionalIdAuthorizationFailed,
        KafkaResource::Cluster => ErrorCode::ClusterAuthorizationFailed,
    }
}

impl RequestContext<'_> {
    /// The throttle time of an answer with these codes: a client whose partitions change too often is told when to
    /// try again (KIP-599). Its connection goes on.
    fn throttle_time_ms_of(&self, mut codes: impl Iterator<Item = i16>) -> i32 {
        if !codes.any(|code| code == ErrorCode::ThrottlingQuotaExceeded.code()) {
            return 0;
        }
        to_throttle_time_ms(self.authenticated.quota.partition_change_debt())
    }
}

/// What goes back to the client.
pub(crate) enum Answer {
    /// A response.
    Pieces(Vec<Piece>),
    /// A response after which the connection closes.
    LastPieces(Vec<Piece>),
    /// No response at all (Produce with acks=0).
    Nothing,
}

/// An answer, and how long the connection is not read after it: the response says so too where it can.
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) wait: Duration,
}

impl From<Answer> for Answered {
    fn from(answer: Answer) -> Self {
        Self { answer, wait: Duration::ZERO }
    }
}

/// Why a frame cannot be answered; the connection closes, as Kafka does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The frame is not what its header says.
    #[error("cannot decode {api}: {source}")]
    Decode {
        /// The API of the header.
        api: &'static str,
        /// What is wrong.
        #[source]
        source: DecodeError,
    },
    /// The header is not one.
    #[error("cannot decode a request: {0}")]
    Frame(#[source] frame::FrameError),
    /// The response does not fit its version; a bug.
    #[error("cannot encode a response: {0}")]
    Encode(#[from] EncodeError),
    /// The API key is unknown or not served.
    #[error("api key {0} is not served")]
    UnknownApi(i16),
    /// The version is not served.
    #[error("version {version} of {api} is not served")]
    UnknownVersion {
        /// The API.
        api: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// Something else than a login came first.
    #[error("{0} before authentication")]
    NotAuthenticated(&'static str),
}

/// Whether the frame is answered without waiting for anything but the disk.
pub(crate) fn is_quick(frame: &[u8]) -> bool {
    frame.first_chunk() == Some(&ApiKey::Produce.key().to_be_bytes())
}

/// How long the connection waits before the frame is answered, because of what others of its tenant owe.
pub(crate) fn inherited_wait(session: &mut Session, frame: &[u8]) -> Duration {
    let Some(quota) = session.quota() else { return Duration::ZERO };
    frame::peek_api_key(frame).map_or(Duration::ZERO, |api| quota.inherit_debt(api))
}

/// Answers one frame.
pub(crate) async fn answer(
    broker: &Arc<Broker>,
    session: &mut Session,
    frame: &[u8],
) -> Result<Answered, RequestError> {
    if session.expects_raw_token() {
        return Ok(sasl_authenticate::answer_raw(session, frame));
    }
    let request = frame::decode_request(frame).map_err(RequestError::Frame)?;
    let (api, version, correlation_id, reader) =
        (request.api_key, request.version, request.correlation_id, request.body);
    if api == ApiKey::ApiVersions {
        return api_versions::answer(reader, version, correlation_id).map(Answered::from);
    }
    check_version(api, version)?;
    if api == ApiKey::SaslHandshake {
        return sasl_handshake::answer(session, reader, version, correlation_id).map(Answered::from);
    }
    if api == ApiKey::SaslAuthenticate {
        return sasl_authenticate::answer(session, reader, version, correlation_id);
    }
    let client_host = session.client_host();
    let Some(authenticated) = session.authenticated() else {
        return Err(RequestError::NotAuthenticated(api.name()));
    };
    authenticated.metrics.count_request(api);
    let ctx = RequestContext {
        broker,
        authenticated,
        client_id: cut(request.client_id.unwrap_or(""), MAX_CLIENT_ID_BYTES),
        client_host,
        api_version: version,
        request_bytes: frame.len(),
        request_wait: authenticated.quota.charge_request(),
    };
    dispatch(&ctx, api, reader, correlation_id).await
}

/// Decodes, handles and encodes one API whose response is plain. The future is boxed so that the rare, large
/// ones do not make every connection's task larger.
macro_rules! respond {
    ($ctx:expr, $api:expr, $reader:expr, $correlation_id:expr, $module:ident, $file:ident :: $request:ident) => {{
        let version = $ctx.api_version;
        let request = millstream_protocol::messages::$file::$request::decode(&mut $reader, version)
            .map_err(|source| RequestError::Decode { api: $api.name(), source })?;
        let mut response = Box::pin($module::handle($ctx, request)).await;
        let wait = $ctx.request_wait;
        response.throttle_time_ms = response.throttle_time_ms.max(to_throttle_time_ms(wait));
        let answer = plain($api, version, $correlation_id, |writer| response.encode(writer, version))?;
        Ok(Answered { answer, wait })
    }};
}

async fn dispatch(
    ctx: &RequestContext<'_>,
    api: ApiKey,
    mut reader: Reader<'_>,
    correlation_id: i32,
) -> Result<Answered, RequestError> {
    match api {
        ApiKey::Produce => produce::answer(ctx, reader, correlation_id).await,
        ApiKey::Fetch => fetch::answer(ctx, reader, correlation_id).await,
        ApiKey::AlterConfigs => {
            respond!(ctx, api, reader, correlation_id, alter_configs, alter_configs_request::AlterConfigsRequest)
        }
        ApiKey::CreateAcls => {
            respond!(ctx, api, reader, correlation_id, create_acls, create_acls_request::CreateAclsRequest)
        }
        ApiKey::CreatePartitions => {
            respond!(
                ctx,
                api,
                reader,
                correlation_id,
                create_partitions,
                create_partitions_request::CreatePartitionsRequest
            )
        }
        ApiKey::CreateTopics => {
            respond!(ctx, api, reader, correlation_id, create_topics, create_topics_request::CreateTopicsRequest)
        }
        ApiKey::DeleteAcls => {
            respond!(ctx, api, reader, correlation_id, delete_acls, delete_acls_request::DeleteAclsRequest)
        }
        ApiKey::DeleteGroups => {
            respond!(ctx, api, reader, correlation_id, delete_groups, delete_groups_request::DeleteGroupsRequest)
        }
        ApiKey::DeleteRecords => {
            respond!(ctx, api, reader, correlation_id, delete_records, delete_records_request::DeleteRecordsRequest)
        }
        ApiKey::DeleteTopics => {
            respond!(ctx, api, reader, correlation_id, delete_topics, delete_topics_request::DeleteTopicsRequest)
        }
        ApiKey::DescribeAcls => {
            respond!(ctx, api, reader, correlation_id, describe_acls, describe_acls_request::DescribeAclsRequest)
        }
        ApiKey::DescribeCluster => {
            respond!(
                ctx,
                api,
                reader,
                correlation_id,
                describe_cluster,
                describe_cluster_request::DescribeClusterRequest
            )
        }
        ApiKey::DescribeConfigs => {
            respond!(
                ctx,
                api,
                reader,
                correlation_id,
                describe_configs,
                describe_configs_request::DescribeConfigsRequest
            )
        }
        ApiKey::DescribeGroups => {
            respond!(ctx, api, reader, correlation_id, describe_groups, describe_groups_request::DescribeGroupsRequest)
        }
        ApiKey::FindCoordinator => {
            respond!(
                ctx,
                api,
                reader,
                correlation_id,
                find_coordinator,
                find_coordinator_request::FindCoordinatorRequest
            )
        }
        ApiKey::Heartbeat => {
            respond!(ctx, api, reader, correlation_id, heartbeat, heartbeat_request::HeartbeatRequest)
        }
        ApiKey::IncrementalAlterConfigs => {
            respond!(
                ctx,
                api,
                reader,
                correlation_id,
                incremental_alter_configs,
                incremental_alter_configs_request::IncrementalAlterConfigsRequest
            )
        }
        ApiKey::InitProducerId => {
            respond!(
                ctx,
                api,
                reader,
                correlation_id,
                init_producer_id,
                init_producer_id_request::InitProducerIdRequest
            )
        }
        ApiKey::JoinGroup => {
            respond!(ctx, api, reader, correlation_id, join_group, join_group_request::JoinGroupRequest)
        }
        ApiKey::LeaveGroup => {
            respond!(ctx, api, reader, correlation_id, leave_group, leave_group_request::LeaveGroupRequest)
        }
        ApiKey::ListGroups => {
            respond!(ctx, api, reader, correlation_id, list_groups, list_groups_request::ListGroupsRequest)
        }
        ApiKey::ListOffsets => {
            respond!(ctx, api, reader, correlation_id, list_offsets, list_offsets_request::ListOffsetsRequest)
        }
        ApiKey::Metadata => {
            respond!(ctx, api, reader, correlation_id, metadata, metadata_request::MetadataRequest)
        }
        ApiKey::OffsetCommit => {
            respond!(ctx, api, reader, correlation_id, offset_commit, offset_commit_request::OffsetCommitRequest)
        }
        ApiKey::OffsetDelete => {
            respond!(ctx, api, reader, correlation_id, offset_delete, offset_delete_request::OffsetDeleteRequest)
        }
        ApiKey::OffsetFetch => {
            respond!(ctx, api, reader, correlation_id, offset_fetch, offset_fetch_request::OffsetFetchRequest)
        }
        ApiKey::OffsetForLeaderEpoch => {
            respond!(
                ctx,
                api,
                reader,
                correlation_id,
                offset_for_leader_epoch,
                offset_for_leader_epoch_request::OffsetForLeaderEpochRequest
            )
        }
        ApiKey::SyncGroup => {
            respond!(ctx, api, reader, correlation_id, sync_group, sync_group_request::SyncGroupRequest)
        }
        other => Err(RequestError::UnknownApi(other.key())),
    }
}

fn check_version(api: ApiKey, version: i16) -> Result<(), RequestError> {
    if version_table::served_api(api).is_none() {
        return Err(RequestError::UnknownApi(api.key()));
    }
    if !version_table::is_served(api, version) {
        return Err(RequestError::UnknownVersion { api: api.name(), version });
    }
    Ok(())
}

/// Encodes a response that holds no records.
fn plain(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    encode_body: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<Answer, RequestError> {
    let pieces = encode(api, version, correlation_id, encode_body)?;
    Ok(Answer::Pieces(fill_gaps(pieces, Vec::new())))
}

/// Encodes a whole response frame: length, header, body.
fn encode(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    encode_body: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<Vec<OutputPiece>, RequestError> {
    Ok(frame::encode_response_with_gaps(api, version, correlation_id, encode_body)?)
}

/// Puts the log slices of a fetch into the gaps that were left for them, in order.
fn fill_gaps(pieces: Vec<OutputPiece>, slices: Vec<Slice>) -> Vec<Piece> {
    let mut slices = slices.into_iter();
    let mut filled = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            OutputPiece::Bytes(bytes) => filled.push(Piece::Bytes(bytes)),
            OutputPiece::Gap(_) => filled.extend(slices.next().map(Piece::Log)),
        }
    }
    filled
}

fn cut(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod allocation_tests;
#[cfg(test)]
mod authorization_tests;
#[cfg(test)]
mod isolation_tests;
