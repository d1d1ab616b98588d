//! Errors of kafka/v3: `{"error_code": …, "message": …}` with Confluent's codes.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use millstream_metadata::decide::TopicError;
use serde::Serialize;

use crate::topics::AdminError;

/// The request is legal JSON, but asks for something that is not allowed.
const INVALID_REQUEST: u32 = 40002;
/// No or wrong credentials.
const AUTHENTICATION_FAILED: u32 = 40101;
/// The key is right, but its owner may not.
const NOT_AUTHORIZED: u32 = 40301;
/// No such topic or partition.
const UNKNOWN_TOPIC_OR_PARTITION: u32 = 40403;
/// A failure that may be over at the next try.
const RETRIABLE: u32 = 50003;

/// What a refused or failed request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RestError {
    pub(super) status: StatusCode,
    pub(super) error_code: u32,
    pub(super) message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error_code: u32,
    message: &'a str,
}

impl RestError {
    /// An error whose code is its status.
    pub(super) fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, error_code: status.as_u16().into(), message: message.into() }
    }

    /// The request cannot be understood.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, message)
    }

    /// The request is understood and refused.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error_code: INVALID_REQUEST, message: message.into() }
    }

    /// No key, a key that does not exist, or a wrong secret.
    pub(super) fn authentication_failed() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error_code: AUTHENTICATION_FAILED,
            message: "Authentication failed".to_owned(),
        }
    }

    /// The owner of the key may not do this.
    pub(super) fn not_authorized(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, error_code: NOT_AUTHORIZED, message: message.into() }
    }

    /// A cluster that does not exist, or is another tenant's.
    pub(super) fn unknown_cluster(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        Self::plain(StatusCode::NOT_FOUND, format!("Cluster {id} cannot be found."))
    }

    /// A topic or partition that does not exist.
    pub(super) fn unknown_topic_or_partition() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            error_code: UNKNOWN_TOPIC_OR_PARTITION,
            message: "This server does not host this topic-partition.".to_owned(),
        }
    }

    /// Anything else that does not exist.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::NOT_FOUND, message)
    }

    /// It may work at the next try.
    pub(super) fn retriable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, error_code: RETRIABLE, message: message.into() }
    }
}

impl From<AdminError> for RestError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Refused(TopicError::UnknownTopic | TopicError::UnknownTopicId) => {
                Self::unknown_topic_or_partition()
            }
            AdminError::Refused(refused) => Self::invalid(refused.to_string()),
            unavailable => Self::retriable(unavailable.to_string()),
        }
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let body = Body { error_code: self.error_code, message: &self.message };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"kafka\""));
        }
        response
    }
}
