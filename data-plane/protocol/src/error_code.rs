//! Kafka's error codes, with the messages and the retry rule of Apache Kafka 4.3.
//!
//! The list is complete: whatever a client may know has a name here. Never decides which error an API answers.

use std::fmt;

/// What went wrong with a request, or a part of it. A client that gets a retriable code tries again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum ErrorCode {
    UnknownServerError = -1,
    None = 0,
    OffsetOutOfRange = 1,
    CorruptMessage = 2,
    UnknownTopicOrPartition = 3,
    InvalidFetchSize = 4,
    LeaderNotAvailable = 5,
    NotLeaderOrFollower = 6,
    RequestTimedOut = 7,
    BrokerNotAvailable = 8,
    ReplicaNotAvailable = 9,
    MessageTooLarge = 10,
    StaleControllerEpoch = 11,
    OffsetMetadataTooLarge = 12,
    NetworkException = 13,
    CoordinatorLoadInProgress = 14,
    CoordinatorNotAvailable = 15,
    NotCoordinator = 16,
    InvalidTopicException = 17,
    RecordListTooLarge = 18,
    NotEnoughReplicas = 19,
    NotEnoughReplicasAfterAppend = 20,
    InvalidRequiredAcks = 21,
    IllegalGeneration = 22,
    InconsistentGroupProtocol = 23,
    InvalidGroupId = 24,
    UnknownMemberId = 25,
    InvalidSessionTimeout = 26,
    RebalanceInProgress = 27,
    InvalidCommitOffsetSize = 28,
    TopicAuthorizationFailed = 29,
    GroupAuthorizationFailed = 30,
    ClusterAuthorizationFailed = 31,
    InvalidTimestamp = 32,
    UnsupportedSaslMechanism = 33,
    IllegalSaslState = 34,
    UnsupportedVersion = 35,
    TopicAlreadyExists = 36,
    InvalidPartitions = 37,
    InvalidReplicationFactor = 38,
    InvalidReplicaAssignment = 39,
    InvalidConfig = 40,
    NotController = 41,
    InvalidRequest = 42,
    UnsupportedForMessageFormat = 43,
    PolicyViolation = 44,
    OutOfOrderSequenceNumber = 45,
    DuplicateSequenceNumber = 46,
    InvalidProducerEpoch = 47,
    InvalidTxnState = 48,
    InvalidProducerIdMapping = 49,
    InvalidTransactionTimeout = 50,
    ConcurrentTransactions = 51,
    TransactionCoordinatorFenced = 52,
    TransactionalIdAuthorizationFailed = 53,
    SecurityDisabled = 54,
    OperationNotAttempted = 55,
    KafkaStorageError = 56,
    LogDirNotFound = 57,
    SaslAuthenticationFailed = 58,
    UnknownProducerId = 59,
    ReassignmentInProgress = 60,
    DelegationTokenAuthDisabled = 61,
    DelegationTokenNotFound = 62,
    DelegationTokenOwnerMismatch = 63,
    DelegationTokenRequestNotAllowed = 64,
    DelegationTokenAuthorizationFailed = 65,
    DelegationTokenExpired = 66,
    InvalidPrincipalType = 67,
    NonEmptyGroup = 68,
    GroupIdNotFound = 69,
    FetchSessionIdNotFound = 70,
    InvalidFetchSessionEpoch = 71,
    ListenerNotFound = 72,
    TopicDeletionDisabled = 73,
    FencedLeaderEpoch = 74,
    UnknownLeaderEpoch = 75,
    UnsupportedCompressionType = 76,
    StaleBrokerEpoch = 77,
    OffsetNotAvailable = 78,
    MemberIdRequired = 79,
    PreferredLeaderNotAvailable = 80,
    GroupMaxSizeReached = 81,
    FencedInstanceId = 82,
    EligibleLeadersNotAvailable = 83,
    ElectionNotNeeded = 84,
    NoReassignmentInProgress = 85,
    GroupSubscribedToTopic = 86,
    InvalidRecord = 87,
    UnstableOffsetCommit = 88,
    ThrottlingQuotaExceeded = 89,
    ProducerFenced = 90,
    ResourceNotFound = 91,
    DuplicateResource = 92,
    UnacceptableCredential = 93,
    InconsistentVoterSet = 94,
    InvalidUpdateVersion = 95,
    FeatureUpdateFailed = 96,
    PrincipalDeserializationFailure = 97,
    SnapshotNotFound = 98,
    PositionOutOfRange = 99,
    UnknownTopicId = 100,
    DuplicateBrokerRegistration = 101,
    BrokerIdNotRegistered = 102,
    InconsistentTopicId = 103,
    InconsistentClusterId = 104,
    TransactionalIdNotFound = 105,
    FetchSessionTopicIdError = 106,
    IneligibleReplica = 107,
    NewLeaderElected = 108,
    OffsetMovedToTieredStorage = 109,
    FencedMemberEpoch = 110,
    UnreleasedInstanceId = 111,
    UnsupportedAssignor = 112,
    StaleMemberEpoch = 113,
    MismatchedEndpointType = 114,
    UnsupportedEndpointType = 115,
    UnknownControllerId = 116,
    UnknownSubscriptionId = 117,
    TelemetryTooLarge = 118,
    InvalidRegistration = 119,
    TransactionAbortable = 120,
    InvalidRecordState = 121,
    ShareSessionNotFound = 122,
    InvalidShareSessionEpoch = 123,
    FencedStateEpoch = 124,
    InvalidVoterKey = 125,
    DuplicateVoter = 126,
    VoterNotFound = 127,
    InvalidRegularExpression = 128,
    RebootstrapRequired = 129,
    StreamsInvalidTopology = 130,
    StreamsInvalidTopologyEpoch = 131,
    StreamsTopologyFenced = 132,
    ShareSessionLimitReached = 133,
}

/// Code, name as Kafka spells it, whether a client may retry, message.
struct Row(ErrorCode, &'static str, bool, &'static str);

/// In the order of the codes, so that a code's row lies at `code + 1`.
const ROWS: &[Row] = &[
    Row(
        ErrorCode::UnknownServerError,
        "UNKNOWN_SERVER_ERROR",
        false,
        "The server experienced an unexpected error when processing the request.",
    ),
    Row(ErrorCode::None, "NONE", false, ""),
    Row(
        ErrorCode::OffsetOutOfRange,
        "OFFSET_OUT_OF_RANGE",
        false,
        "The requested offset is not within the range of offsets maintained by the server.",
    ),
    Row(
        ErrorCode::CorruptMessage,
        "CORRUPT_MESSAGE",
        true,
        "This message has failed its CRC checksum, exceeds the valid size, has a null key for a compacted topic, or is otherwise corrupt.",
    ),
    Row(
        ErrorCode::UnknownTopicOrPartition,
        "UNKNOWN_TOPIC_OR_PARTITION",
        true,
        "This server does not host this topic-partition.",
    ),
    Row(ErrorCode::InvalidFetchSize, "INVALID_FETCH_SIZE", false, "The requested fetch size is invalid."),
    Row(
        ErrorCode::LeaderNotAvailable,
        "LEADER_NOT_AVAILABLE",
        true,
        "There is no leader for this topic-partition as we are in the middle of a leadership election.",
    ),
    Row(
        ErrorCode::NotLeaderOrFollower,
        "NOT_LEADER_OR_FOLLOWER",
        true,
        "For requests intended only for the leader, this error indicates that the broker is not the current leader. For requests intended for any replica, this error indicates that the broker is not a replica of the topic partition.",
    ),
    Row(ErrorCode::RequestTimedOut, "REQUEST_TIMED_OUT", true, "The request timed out."),
    Row(ErrorCode::BrokerNotAvailable, "BROKER_NOT_AVAILABLE", false, "The broker is not available."),
    Row(
        ErrorCode::ReplicaNotAvailable,
        "REPLICA_NOT_AVAILABLE",
        true,
        "The replica is not available for the requested topic-partition. Produce/Fetch requests and other requests intended only for the leader or follower return NOT_LEADER_OR_FOLLOWER if the broker is not a replica of the topic-partition.",
    ),
    Row(
        ErrorCode::MessageTooLarge,
        "MESSAGE_TOO_LARGE",
        false,
        "The request included a message larger than the max message size the server will accept.",
    ),
    Row(ErrorCode::StaleControllerEpoch, "STALE_CONTROLLER_EPOCH", false, "The controller moved to another broker."),
    Row(
        ErrorCode::OffsetMetadataTooLarge,
        "OFFSET_METADATA_TOO_LARGE",
        false,
        "The metadata field of the offset request was too large.",
    ),
    Row(
        ErrorCode::NetworkException,
        "NETWORK_EXCEPTION",
        true,
        "The server disconnected before a response was received.",
    ),
    Row(
        ErrorCode::CoordinatorLoadInProgress,
        "COORDINATOR_LOAD_IN_PROGRESS",
        true,
        "The coordinator is loading and hence can't process requests.",
    ),
    Row(ErrorCode::CoordinatorNotAvailable, "COORDINATOR_NOT_AVAILABLE", true, "The coordinator is not available."),
    Row(ErrorCode::NotCoordinator, "NOT_COORDINATOR", true, "This is not the correct coordinator."),
    Row(
        ErrorCode::InvalidTopicException,
        "INVALID_TOPIC_EXCEPTION",
        false,
        "The request attempted to perform an operation on an invalid topic.",
    ),
    Row(
        ErrorCode::RecordListTooLarge,
        "RECORD_LIST_TOO_LARGE",
        false,
        "The request included message batch larger than the configured segment size on the server.",
    ),
    Row(
        ErrorCode::NotEnoughReplicas,
        "NOT_ENOUGH_REPLICAS",
        true,
        "Messages are rejected since there are fewer in-sync replicas than required.",
    ),
    Row(
        ErrorCode::NotEnoughReplicasAfterAppend,
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        true,
        "Messages are written to the log, but to fewer in-sync replicas than required.",
    ),
    Row(
        ErrorCode::InvalidRequiredAcks,
        "INVALID_REQUIRED_ACKS",
        false,
        "Produce request specified an invalid value for required acks.",
    ),
    Row(ErrorCode::IllegalGeneration, "ILLEGAL_GENERATION", false, "Specified group generation id is not valid."),
    Row(
        ErrorCode::InconsistentGroupProtocol,
        "INCONSISTENT_GROUP_PROTOCOL",
        false,
        "The group member's supported protocols are incompatible with those of existing members or first group member tried to join with empty protocol type or empty protocol list.",
    ),
    Row(ErrorCode::InvalidGroupId, "INVALID_GROUP_ID", false, "The group id is invalid."),
    Row(ErrorCode::UnknownMemberId, "UNKNOWN_MEMBER_ID", false, "The coordinator is not aware of this member."),
    Row(
        ErrorCode::InvalidSessionTimeout,
        "INVALID_SESSION_TIMEOUT",
        false,
        "The session timeout is not within the range allowed by the broker (as configured by group.min.session.timeout.ms and group.max.session.timeout.ms).",
    ),
    Row(
        ErrorCode::RebalanceInProgress,
        "REBALANCE_IN_PROGRESS",
        false,
        "The group is rebalancing, so a rejoin is needed.",
    ),
    Row(
        ErrorCode::InvalidCommitOffsetSize,
        "INVALID_COMMIT_OFFSET_SIZE",
        false,
        "The committing offset data size is not valid.",
    ),
    Row(ErrorCode::TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED", false, "Topic authorization failed."),
    Row(ErrorCode::GroupAuthorizationFailed, "GROUP_AUTHORIZATION_FAILED", false, "Group authorization failed."),
    Row(ErrorCode::ClusterAuthorizationFailed, "CLUSTER_AUTHORIZATION_FAILED", false, "Cluster authorization failed."),
    Row(
        ErrorCode::InvalidTimestamp,
        "INVALID_TIMESTAMP",
        false,
        "The timestamp of the message is out of acceptable range.",
    ),
    Row(
        ErrorCode::UnsupportedSaslMechanism,
        "UNSUPPORTED_SASL_MECHANISM",
        false,
        "The broker does not support the requested SASL mechanism.",
    ),
    Row(ErrorCode::IllegalSaslState, "ILLEGAL_SASL_STATE", false, "Request is not valid given the current SASL state."),
    Row(ErrorCode::UnsupportedVersion, "UNSUPPORTED_VERSION", false, "The version of API is not supported."),
    Row(ErrorCode::TopicAlreadyExists, "TOPIC_ALREADY_EXISTS", false, "Topic with this name already exists."),
    Row(ErrorCode::InvalidPartitions, "INVALID_PARTITIONS", false, "Number of partitions is below 1."),
    Row(
        ErrorCode::InvalidReplicationFactor,
        "INVALID_REPLICATION_FACTOR",
        false,
        "Replication factor is below 1 or larger than the number of available brokers.",
    ),
    Row(ErrorCode::InvalidReplicaAssignment, "INVALID_REPLICA_ASSIGNMENT", false, "Replica assignment is invalid."),
    Row(ErrorCode::InvalidConfig, "INVALID_CONFIG", false, "Configuration is invalid."),
    Row(ErrorCode::NotController, "NOT_CONTROLLER", true, "This is not the correct controller for this cluster."),
    Row(
        ErrorCode::InvalidRequest,
        "INVALID_REQUEST",
        false,
        "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details.",
    ),
    Row(
        ErrorCode::UnsupportedForMessageFormat,
        "UNSUPPORTED_FOR_MESSAGE_FORMAT",
        false,
        "The message format version on the broker does not support the request.",
    ),
    Row(
        ErrorCode::PolicyViolation,
        "POLICY_VIOLATION",
        false,
        "Request parameters do not satisfy the configured policy.",
    ),
    Row(
        ErrorCode::OutOfOrderSequenceNumber,
        "OUT_OF_ORDER_SEQUENCE_NUMBER",
        false,
        "The broker received an out of order sequence number.",
    ),
    Row(
        ErrorCode::DuplicateSequenceNumber,
        "DUPLICATE_SEQUENCE_NUMBER",
        false,
        "The broker received a duplicate sequence number.",
    ),
    Row(
        ErrorCode::InvalidProducerEpoch,
        "INVALID_PRODUCER_EPOCH",
        false,
        "Producer attempted to produce with an old epoch.",
    ),
    Row(
        ErrorCode::InvalidTxnState,
        "INVALID_TXN_STATE",
        false,
        "The producer attempted a transactional operation in an invalid state.",
    ),
    Row(
        ErrorCode::InvalidProducerIdMapping,
        "INVALID_PRODUCER_ID_MAPPING",
        false,
        "The producer attempted to use a producer id which is not currently assigned to its transactional id.",
    ),
    Row(
        ErrorCode::InvalidTransactionTimeout,
        "INVALID_TRANSACTION_TIMEOUT",
        false,
        "The transaction timeout is larger than the maximum value allowed by the broker (as configured by transaction.max.timeout.ms).",
    ),
    Row(
        ErrorCode::ConcurrentTransactions,
        "CONCURRENT_TRANSACTIONS",
        true,
        "The producer attempted to update a transaction while another concurrent operation on the same transaction was ongoing.",
    ),
    Row(
        ErrorCode::TransactionCoordinatorFenced,
        "TRANSACTION_COORDINATOR_FENCED",
        false,
        "Indicates that the transaction coordinator sending a WriteTxnMarker is no longer the current coordinator for a given producer.",
    ),
    Row(
        ErrorCode::TransactionalIdAuthorizationFailed,
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        false,
        "Transactional Id authorization failed.",
    ),
    Row(ErrorCode::SecurityDisabled, "SECURITY_DISABLED", false, "Security features are disabled."),
    Row(
        ErrorCode::OperationNotAttempted,
        "OPERATION_NOT_ATTEMPTED",
        false,
        "The broker did not attempt to execute this operation. This may happen for batched RPCs where some operations in the batch failed, causing the broker to respond without trying the rest.",
    ),
    Row(
        ErrorCode::KafkaStorageError,
        "KAFKA_STORAGE_ERROR",
        true,
        "Disk error when trying to access log file on the disk.",
    ),
    Row(
        ErrorCode::LogDirNotFound,
        "LOG_DIR_NOT_FOUND",
        false,
        "The user-specified log directory is not found in the broker config.",
    ),
    Row(ErrorCode::SaslAuthenticationFailed, "SASL_AUTHENTICATION_FAILED", false, "SASL Authentication failed."),
    Row(
        ErrorCode::UnknownProducerId,
        "UNKNOWN_PRODUCER_ID",
        false,
        "This exception is raised by the broker if it could not locate the producer metadata associated with the producerId in question. This could happen if, for instance, the producer's records were deleted because their retention time had elapsed. Once the last records of the producerId are removed, the producer's metadata is removed from the broker, and future appends by the producer will return this exception.",
    ),
    Row(
        ErrorCode::ReassignmentInProgress,
        "REASSIGNMENT_IN_PROGRESS",
        false,
        "A partition reassignment is in progress.",
    ),
    Row(
        ErrorCode::DelegationTokenAuthDisabled,
        "DELEGATION_TOKEN_AUTH_DISABLED",
        false,
        "Delegation Token feature is not enabled.",
    ),
    Row(
        ErrorCode::DelegationTokenNotFound,
        "DELEGATION_TOKEN_NOT_FOUND",
        false,
        "Delegation Token is not found on server.",
    ),
    Row(
        ErrorCode::DelegationTokenOwnerMismatch,
        "DELEGATION_TOKEN_OWNER_MISMATCH",
        false,
        "Specified Principal is not valid Owner/Renewer.",
    ),
    Row(
        ErrorCode::DelegationTokenRequestNotAllowed,
        "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
        false,
        "Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on delegation token authenticated channels.",
    ),
    Row(
        ErrorCode::DelegationTokenAuthorizationFailed,
        "DELEGATION_TOKEN_AUTHORIZATION_FAILED",
        false,
        "Delegation Token authorization failed.",
    ),
    Row(ErrorCode::DelegationTokenExpired, "DELEGATION_TOKEN_EXPIRED", false, "Delegation Token is expired."),
    Row(ErrorCode::InvalidPrincipalType, "INVALID_PRINCIPAL_TYPE", false, "Supplied principalType is not supported."),
    Row(ErrorCode::NonEmptyGroup, "NON_EMPTY_GROUP", false, "The group is not empty."),
    Row(ErrorCode::GroupIdNotFound, "GROUP_ID_NOT_FOUND", false, "The group id does not exist."),
    Row(ErrorCode::FetchSessionIdNotFound, "FETCH_SESSION_ID_NOT_FOUND", true, "The fetch session ID was not found."),
    Row(
        ErrorCode::InvalidFetchSessionEpoch,
        "INVALID_FETCH_SESSION_EPOCH",
        true,
        "The fetch session epoch is invalid.",
    ),
    Row(
        ErrorCode::ListenerNotFound,
        "LISTENER_NOT_FOUND",
        true,
        "There is no listener on the leader broker that matches the listener on which metadata request was processed.",
    ),
    Row(ErrorCode::TopicDeletionDisabled, "TOPIC_DELETION_DISABLED", false, "Topic deletion is disabled."),
    Row(
        ErrorCode::FencedLeaderEpoch,
        "FENCED_LEADER_EPOCH",
        true,
        "The leader epoch in the request is older than the epoch on the broker.",
    ),
    Row(
        ErrorCode::UnknownLeaderEpoch,
        "UNKNOWN_LEADER_EPOCH",
        true,
        "The leader epoch in the request is newer than the epoch on the broker.",
    ),
    Row(
        ErrorCode::UnsupportedCompressionType,
        "UNSUPPORTED_COMPRESSION_TYPE",
        false,
        "The requesting client does not support the compression type of given partition.",
    ),
    Row(ErrorCode::StaleBrokerEpoch, "STALE_BROKER_EPOCH", false, "Broker epoch has changed."),
    Row(
        ErrorCode::OffsetNotAvailable,
        "OFFSET_NOT_AVAILABLE",
        true,
        "The leader high watermark has not caught up from a recent leader election so the offsets cannot be guaranteed to be monotonically increasing.",
    ),
    Row(
        ErrorCode::MemberIdRequired,
        "MEMBER_ID_REQUIRED",
        false,
        "The group member needs to have a valid member id before actually entering a consumer group.",
    ),
    Row(
        ErrorCode::PreferredLeaderNotAvailable,
        "PREFERRED_LEADER_NOT_AVAILABLE",
        true,
        "The preferred leader was not available.",
    ),
    Row(ErrorCode::GroupMaxSizeReached, "GROUP_MAX_SIZE_REACHED", false, "The group has reached its maximum size."),
    Row(
        ErrorCode::FencedInstanceId,
        "FENCED_INSTANCE_ID",
        false,
        "The broker rejected this static consumer since another consumer with the same group.instance.id has registered with a different member.id.",
    ),
    Row(
        ErrorCode::EligibleLeadersNotAvailable,
        "ELIGIBLE_LEADERS_NOT_AVAILABLE",
        true,
        "Eligible topic partition leaders are not available.",
    ),
    Row(ErrorCode::ElectionNotNeeded, "ELECTION_NOT_NEEDED", true, "Leader election not needed for topic partition."),
    Row(
        ErrorCode::NoReassignmentInProgress,
        "NO_REASSIGNMENT_IN_PROGRESS",
        false,
        "No partition reassignment is in progress.",
    ),
    Row(
        ErrorCode::GroupSubscribedToTopic,
        "GROUP_SUBSCRIBED_TO_TOPIC",
        false,
        "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it.",
    ),
    Row(
        ErrorCode::InvalidRecord,
        "INVALID_RECORD",
        false,
        "This record has failed the validation on broker and hence will be rejected.",
    ),
    Row(
        ErrorCode::UnstableOffsetCommit,
        "UNSTABLE_OFFSET_COMMIT",
        true,
        "There are unstable offsets that need to be cleared.",
    ),
    Row(
        ErrorCode::ThrottlingQuotaExceeded,
        "THROTTLING_QUOTA_EXCEEDED",
        true,
        "The throttling quota has been exceeded.",
    ),
    Row(
        ErrorCode::ProducerFenced,
        "PRODUCER_FENCED",
        false,
        "There is a newer producer with the same transactionalId which fences the current one.",
    ),
    Row(
        ErrorCode::ResourceNotFound,
        "RESOURCE_NOT_FOUND",
        false,
        "A request illegally referred to a resource that does not exist.",
    ),
    Row(
        ErrorCode::DuplicateResource,
        "DUPLICATE_RESOURCE",
        false,
        "A request illegally referred to the same resource twice.",
    ),
    Row(
        ErrorCode::UnacceptableCredential,
        "UNACCEPTABLE_CREDENTIAL",
        false,
        "Requested credential would not meet criteria for acceptability.",
    ),
    Row(
        ErrorCode::InconsistentVoterSet,
        "INCONSISTENT_VOTER_SET",
        false,
        "Indicates that the either the sender or recipient of a voter-only request is not one of the expected voters.",
    ),
    Row(ErrorCode::InvalidUpdateVersion, "INVALID_UPDATE_VERSION", false, "The given update version was invalid."),
    Row(
        ErrorCode::FeatureUpdateFailed,
        "FEATURE_UPDATE_FAILED",
        false,
        "Unable to update finalized features due to an unexpected server error.",
    ),
    Row(
        ErrorCode::PrincipalDeserializationFailure,
        "PRINCIPAL_DESERIALIZATION_FAILURE",
        false,
        "Request principal deserialization failed during forwarding. This indicates an internal error on the broker cluster security setup.",
    ),
    Row(ErrorCode::SnapshotNotFound, "SNAPSHOT_NOT_FOUND", false, "Requested snapshot was not found."),
    Row(
        ErrorCode::PositionOutOfRange,
        "POSITION_OUT_OF_RANGE",
        false,
        "Requested position is not greater than or equal to zero, and less than the size of the snapshot.",
    ),
    Row(ErrorCode::UnknownTopicId, "UNKNOWN_TOPIC_ID", true, "This server does not host this topic ID."),
    Row(
        ErrorCode::DuplicateBrokerRegistration,
        "DUPLICATE_BROKER_REGISTRATION",
        false,
        "This broker ID is already in use.",
    ),
    Row(ErrorCode::BrokerIdNotRegistered, "BROKER_ID_NOT_REGISTERED", false, "The given broker ID was not registered."),
    Row(
        ErrorCode::InconsistentTopicId,
        "INCONSISTENT_TOPIC_ID",
        true,
        "The log's topic ID did not match the topic ID in the request.",
    ),
    Row(
        ErrorCode::InconsistentClusterId,
        "INCONSISTENT_CLUSTER_ID",
        false,
        "The clusterId in the request does not match that found on the server.",
    ),
    Row(
        ErrorCode::TransactionalIdNotFound,
        "TRANSACTIONAL_ID_NOT_FOUND",
        false,
        "The transactionalId could not be found.",
    ),
    Row(
        ErrorCode::FetchSessionTopicIdError,
        "FETCH_SESSION_TOPIC_ID_ERROR",
        true,
        "The fetch session encountered inconsistent topic ID usage.",
    ),
    Row(
        ErrorCode::IneligibleReplica,
        "INELIGIBLE_REPLICA",
        false,
        "The new ISR contains at least one ineligible replica.",
    ),
    Row(
        ErrorCode::NewLeaderElected,
        "NEW_LEADER_ELECTED",
        false,
        "The AlterPartition request successfully updated the partition state but the leader has changed.",
    ),
    Row(
        ErrorCode::OffsetMovedToTieredStorage,
        "OFFSET_MOVED_TO_TIERED_STORAGE",
        false,
        "The requested offset is moved to tiered storage.",
    ),
    Row(
        ErrorCode::FencedMemberEpoch,
        "FENCED_MEMBER_EPOCH",
        false,
        "The member epoch is fenced by the group coordinator. The member must abandon all its partitions and rejoin.",
    ),
    Row(
        ErrorCode::UnreleasedInstanceId,
        "UNRELEASED_INSTANCE_ID",
        false,
        "The instance ID is still used by another member in the consumer group. That member must leave first.",
    ),
    Row(
        ErrorCode::UnsupportedAssignor,
        "UNSUPPORTED_ASSIGNOR",
        false,
        "The assignor or its version range is not supported by the consumer group.",
    ),
    Row(
        ErrorCode::StaleMemberEpoch,
        "STALE_MEMBER_EPOCH",
        false,
        "The member epoch is stale. The member must retry after receiving its updated member epoch via the ConsumerGroupHeartbeat API.",
    ),
    Row(
        ErrorCode::MismatchedEndpointType,
        "MISMATCHED_ENDPOINT_TYPE",
        false,
        "The request was sent to an endpoint of the wrong type.",
    ),
    Row(
        ErrorCode::UnsupportedEndpointType,
        "UNSUPPORTED_ENDPOINT_TYPE",
        false,
        "This endpoint type is not supported yet.",
    ),
    Row(ErrorCode::UnknownControllerId, "UNKNOWN_CONTROLLER_ID", false, "This controller ID is not known."),
    Row(
        ErrorCode::UnknownSubscriptionId,
        "UNKNOWN_SUBSCRIPTION_ID",
        false,
        "Client sent a push telemetry request with an invalid or outdated subscription ID.",
    ),
    Row(
        ErrorCode::TelemetryTooLarge,
        "TELEMETRY_TOO_LARGE",
        false,
        "Client sent a push telemetry request larger than the maximum size the broker will accept.",
    ),
    Row(
        ErrorCode::InvalidRegistration,
        "INVALID_REGISTRATION",
        false,
        "The controller has considered the broker registration to be invalid.",
    ),
    Row(
        ErrorCode::TransactionAbortable,
        "TRANSACTION_ABORTABLE",
        false,
        "The server encountered an error with the transaction. The client can abort the transaction to continue using this transactional ID.",
    ),
    Row(
        ErrorCode::InvalidRecordState,
        "INVALID_RECORD_STATE",
        false,
        "The record state is invalid. The acknowledgement of delivery could not be completed.",
    ),
    Row(ErrorCode::ShareSessionNotFound, "SHARE_SESSION_NOT_FOUND", true, "The share session was not found."),
    Row(
        ErrorCode::InvalidShareSessionEpoch,
        "INVALID_SHARE_SESSION_EPOCH",
        true,
        "The share session epoch is invalid.",
    ),
    Row(
        ErrorCode::FencedStateEpoch,
        "FENCED_STATE_EPOCH",
        false,
        "The share coordinator rejected the request because the share-group state epoch did not match.",
    ),
    Row(
        ErrorCode::InvalidVoterKey,
        "INVALID_VOTER_KEY",
        false,
        "The voter key doesn't match the receiving replica's key.",
    ),
    Row(ErrorCode::DuplicateVoter, "DUPLICATE_VOTER", false, "The voter is already part of the set of voters."),
    Row(ErrorCode::VoterNotFound, "VOTER_NOT_FOUND", false, "The voter is not part of the set of voters."),
    Row(
        ErrorCode::InvalidRegularExpression,
        "INVALID_REGULAR_EXPRESSION",
        false,
        "The regular expression is not valid.",
    ),
    Row(
        ErrorCode::RebootstrapRequired,
        "REBOOTSTRAP_REQUIRED",
        false,
        "Client metadata is stale. The client should rebootstrap to obtain new metadata.",
    ),
    Row(ErrorCode::StreamsInvalidTopology, "STREAMS_INVALID_TOPOLOGY", false, "The supplied topology is invalid."),
    Row(
        ErrorCode::StreamsInvalidTopologyEpoch,
        "STREAMS_INVALID_TOPOLOGY_EPOCH",
        false,
        "The supplied topology epoch is invalid.",
    ),
    Row(ErrorCode::StreamsTopologyFenced, "STREAMS_TOPOLOGY_FENCED", false, "The supplied topology epoch is outdated."),
    Row(
        ErrorCode::ShareSessionLimitReached,
        "SHARE_SESSION_LIMIT_REACHED",
        true,
        "The limit of share sessions has been reached.",
    ),
];

impl ErrorCode {
    /// The number on the wire.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The error with this number; `None` for numbers that Kafka 4.3 does not know.
    pub fn from_code(code: i16) -> Option<ErrorCode> {
        let index = usize::try_from(i32::from(code) + 1).ok()?;
        ROWS.get(index).map(|row| row.0)
    }

    /// Every error, in the order of the codes.
    pub fn all() -> impl Iterator<Item = ErrorCode> {
        ROWS.iter().map(|row| row.0)
    }

    /// Kafka's name, such as `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Kafka's own words for it; empty for `None`.
    pub fn message(self) -> &'static str {
        self.row().3
    }

    /// Whether Kafka's clients try again when they get it.
    pub fn is_retriable(self) -> bool {
        self.row().2
    }

    /// Whether it is an error at all.
    pub fn is_error(self) -> bool {
        self != ErrorCode::None
    }

    fn row(self) -> &'static Row {
        let index = (i32::from(self.code()) + 1) as usize;
        &ROWS[index]
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_finds_its_own_row() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.0.code(), index as i16 - 1);
            assert_eq!(ErrorCode::from_code(row.0.code()), Some(row.0));
            assert_eq!(row.0.name(), row.1);
        }
    }

    #[test]
    fn a_code_outside_of_the_table_is_not_an_error_we_know() {
        for code in [i16::MIN, -2, ROWS.len() as i16 - 1, i16::MAX] {
            assert_eq!(ErrorCode::from_code(code), None);
        }
    }

    #[test]
    fn the_retry_rule_is_kafkas() {
        assert!(ErrorCode::NotLeaderOrFollower.is_retriable());
        assert!(ErrorCode::UnknownTopicOrPartition.is_retriable());
        assert!(!ErrorCode::TopicAuthorizationFailed.is_retriable());
        assert!(!ErrorCode::None.is_retriable());
    }
}
