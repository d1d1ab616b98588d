//! Errors of kafka/v3: `{"error_code": …, "message": …}` with Confluent's codes.

use std::time::Duration;

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
    /// When to come again.
    pub(super) retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Body<'a> {
    error_code: u32,
    message: &'a str,
}

impl RestError {
    /// An error whose code is its status.
    pub(super) fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, error_code: status.as_u16().into(), message: message.into(), retry_after: None }
    }

    /// The request cannot be understood.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, message)
    }

    /// The request is understood and refused.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error_code: INVALID_REQUEST,
            message: message.into(),
            retry_after: None,
        }
    }

    /// No key, a key that does not exist, or a wrong secret.
    pub(super) fn authentication_failed() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error_code: AUTHENTICATION_FAILED,
            message: "Authentication failed".to_owned(),
            retry_after: None,
        }
    }

    /// The owner of the key may not do this.
    pub(super) fn not_authorized(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, error_code: NOT_AUTHORIZED, message: message.into(), retry_after: None }
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
            retry_after: None,
        }
    }

    /// Anything else that does not exist.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::NOT_FOUND, message)
    }

    /// The tenant has to wait for so long.
    pub(super) fn too_many_requests(wait: Duration) -> Self {
        let message = "this cluster gets more requests than its type and size allow, try again later";
        Self { retry_after: Some(wait), ..Self::plain(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// It may work at the next try.
    pub(super) fn retriable(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error_code: RETRIABLE,
            message: message.into(),
            retry_after: None,
        }
    }
}

impl From<AdminError> for RestError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Refused(TopicError::UnknownTopic | TopicError::UnknownTopicId) => {
                Self::unknown_topic_or_partition()
            }
            AdminError::Refused(refused) => Self::invalid(refused.to_string()),
            AdminError::TooFast { retry_after } => {
                let message = error.to_string();
                Self { message, ..Self::too_many_requests(retry_after) }
            }
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
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: who comes earlier would be refused again.
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().saturating_add(1)));
        }
        response
    }
}
