//! Why the Kafka client could not do its work.

use std::io;
use std::time::Duration;

use millstream_protocol::error::{DecodeError, EncodeError};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::record_batch::{BatchError, BuildError};

use crate::failure::{Failure, FailureKind, chain};

/// Why a conversation with a broker failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{address:?} is not a bootstrap server: expected host:port")]
    BadAddress { address: String },
    #[error("cannot connect to the broker at {address}")]
    Connect { address: String, source: io::Error },
    #[error("cannot agree on TLS with the broker at {address}")]
    Tls { address: String, source: io::Error },
    #[error("cannot use the certificates of {path}: {reason}")]
    Certificates { path: String, reason: String },
    #[error("the broker at {address} did not answer in {} s", limit.as_secs())]
    Timeout { address: String, limit: Duration },
    #[error("lost the connection to the broker at {address}")]
    Lost { address: String, source: io::Error },
    #[error("the broker at {address} closed the connection")]
    Closed { address: String },
    #[error("the broker at {address} sent an answer of {length} bytes, which is not plausible")]
    FrameSize { address: String, length: i32 },
    #[error("the broker at {address} does not answer as Kafka does")]
    Malformed { address: String, source: DecodeError },
    #[error("the broker at {address} answered another question than the one asked")]
    Correlation { address: String },
    #[error("the broker at {address} has no version of {api} that this program speaks")]
    NoCommonVersion { address: String, api: &'static str },
    #[error("the request cannot be written")]
    Encode(#[from] EncodeError),
    #[error("the broker refused the API key")]
    Authentication,
    #[error("topic {topic} does not exist")]
    UnknownTopic { topic: String },
    #[error("topic {topic} has no partition {partition}: it has {count}")]
    UnknownPartition { topic: String, partition: i32, count: usize },
    #[error("partition {partition} of topic {topic} has no leader")]
    NoLeader { topic: String, partition: i32 },
    #[error("{what}: {}", describe(*code))]
    Refused { what: String, code: i16 },
    #[error("a record batch is damaged")]
    Batch(#[from] BatchError),
    #[error("the records cannot be put into a batch")]
    Build(#[from] BuildError),
}

/// What an error code means, in Kafka's words.
fn describe(code: i16) -> String {
    ErrorCode::from_code(code)
        .map_or_else(|| format!("unknown error code {code}"), |known| known.message().trim_end_matches('.').to_string())
}

impl ClientError {
    /// The Kafka error code, if a broker gave one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => ErrorCode::from_code(*code),
            _ => None,
        }
    }

    /// Whether the same request may succeed after the metadata was read anew.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Refused { code, .. } => ErrorCode::from_code(*code).is_some_and(ErrorCode::is_retriable),
            Self::Lost { .. } | Self::Closed { .. } | Self::Timeout { .. } | Self::NoLeader { .. } => true,
            Self::Connect { .. } => true,
            _ => false,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let kind = match &error {
            ClientError::BadAddress { .. } | ClientError::Certificates { .. } => FailureKind::Usage,
            ClientError::Connect { .. }
            | ClientError::Tls { .. }
            | ClientError::Timeout { .. }
            | ClientError::Lost { .. }
            | ClientError::Closed { .. } => FailureKind::Unreachable,
            ClientError::Authentication => FailureKind::NotAuthorized,
            ClientError::UnknownTopic { .. } | ClientError::UnknownPartition { .. } => FailureKind::NotFound,
            ClientError::Refused { .. } => match error.code() {
                Some(
                    ErrorCode::TopicAuthorizationFailed
                    | ErrorCode::GroupAuthorizationFailed
                    | ErrorCode::ClusterAuthorizationFailed,
                ) => FailureKind::NotAuthorized,
                Some(ErrorCode::UnknownTopicOrPartition) => FailureKind::NotFound,
                _ => FailureKind::Failed,
            },
            _ => FailureKind::Failed,
        };
        let failure = Failure::new(kind, chain(&error));
        match &error {
            ClientError::UnknownTopic { topic } => {
                failure.suggest(format!("create it with `millstream topic create {topic}`"))
            }
            ClientError::Connect { .. } => {
                failure.suggest("is the service running? `millstream up` starts it on this machine")
            }
            ClientError::Tls { .. } => failure.suggest(
                "give the listener's authority with --tls-ca, or --security-protocol SASL_PLAINTEXT if it has no TLS",
            ),
            ClientError::Closed { .. } => failure
                .suggest("a listener with TLS closes connections without it: see --security-protocol and --tls-ca"),
            ClientError::Authentication => {
                failure.suggest("check the key with `millstream api-key list`; a key works for its own cluster only")
            }
            _ => failure,
        }
    }
}
