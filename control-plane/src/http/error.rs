//! Errors of the control plane's paths, in the form that clients parse.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use millstream_api::rest::errors::{ErrorBody, ErrorItem, ErrorSource, KafkaErrorBody};
use tracing::error;

use crate::authentication::AuthenticationError;
use crate::domain::token_bucket::Charge;
use crate::random::RandomError;
use crate::store::error::StoreError;
use crate::store::quotas::TakeError;

/// An answer with a status of 400 and above. The request id is filled in on the way out.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    source: ErrorSource,
    retry_after_seconds: Option<u32>,
}

/// How a group of paths writes its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorForm {
    /// A list of errors.
    ControlPlane,
    /// One code and a message.
    Kafka,
}

impl ErrorForm {
    /// The form of a path.
    pub fn of_path(path: &str) -> Self {
        if path.starts_with("/kafka/v3/") { Self::Kafka } else { Self::ControlPlane }
    }
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, title, detail: detail.into(), source: ErrorSource::default(), retry_after_seconds: None }
    }

    /// 400: the request cannot be understood or a field is unacceptable.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", "Bad Request", detail)
    }

    /// 400: a query parameter is missing or wrong.
    pub fn bad_parameter(parameter: &str, detail: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid_filter", "Bad Request", detail);
        error.source.parameter = Some(parameter.to_owned());
        error
    }

    /// 401: missing or wrong credentials.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "user_unauthenticated", "Authentication failed", detail)
    }

    /// 402: a limit is reached.
    pub fn quota_exceeded(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYMENT_REQUIRED, "quota_exceeded", "Quota exceeded", detail)
    }

    /// 403: the caller sees the object, but may not do this.
    pub fn forbidden() -> Self {
        Self::forbidden_because("no role of the caller allows this: ask an administrator for a role binding")
    }

    /// 403: the caller sees the object, but may not do this, for a reason that roles alone do not tell.
    pub fn forbidden_because(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "user_unauthorized", "Forbidden", detail)
    }

    /// 404: the object does not exist for this caller.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "resource_not_found", "Not Found", "the resource does not exist")
    }

    /// 404: no operation has this path.
    pub fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "path_not_found", "Not Found", "no operation has this path: see /openapi.json")
    }

    /// 405: the path has other methods.
    pub fn unknown_method() -> Self {
        let detail = "the path does not have this method: see /openapi.json";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed", detail)
    }

    /// 409: something of the same name exists.
    pub fn already_exists(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "resource_already_exists", "Conflict", detail)
    }

    /// 409: the present state does not allow it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "invalid_state", "Conflict", detail)
    }

    /// 412: the object is not in a version that the caller named.
    pub fn precondition_failed() -> Self {
        let detail = "the resource was changed meanwhile: read it again and decide with its present ETag";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", "Precondition Failed", detail)
    }

    /// 415: the body is not said to be JSON.
    pub fn unsupported_media_type() -> Self {
        let detail = "send the body as JSON, with the header Content-Type: application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported Media Type", detail)
    }

    /// 422: each field is fine, but the whole is not offered or not possible.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_configuration", "Unprocessable Entity", detail)
    }

    /// 429: the caller's bucket is empty.
    pub fn too_many_requests(charge: Option<Charge>) -> Self {
        let seconds = charge.map_or(1, |charge| charge.retry_after_seconds);
        let detail = format!("too many requests: try again in {seconds} seconds");
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", "Too Many Requests", detail);
        error.retry_after_seconds = Some(seconds);
        error
    }

    /// 500: a bug, or a damaged database. Nothing was stored.
    pub fn internal() -> Self {
        let detail = "the service failed to handle the request: give the request id to its operator";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Internal Server Error", detail)
    }

    /// 503: the database is away. Nothing was stored.
    pub fn unavailable() -> Self {
        Self::unavailable_because("the service is not available at the moment: try again shortly")
    }

    /// 503: something that the answer needs is away. Nothing was stored.
    pub fn unavailable_because(detail: impl Into<String>) -> Self {
        let mut error =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", "Service Unavailable", detail);
        error.retry_after_seconds = Some(1);
        error
    }

    /// The stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Names the field of the request body that is meant, as a JSON Pointer.
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.source.pointer = Some(pointer.into());
        self
    }

    /// Says when to come back.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The answer with the id of its request.
    pub fn render(&self, form: ErrorForm, request_id: &str) -> Response {
        let mut response = match form {
            ErrorForm::ControlPlane => (self.status, axum::Json(self.body(request_id))).into_response(),
            ErrorForm::Kafka => {
                let error_code = u32::from(self.status.as_u16());
                let body = KafkaErrorBody { error_code, message: self.detail.clone() };
                (self.status, axum::Json(body)).into_response()
            }
        };
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static(
                "Basic realm=\"millstream\", error=\"invalid_key\", error_description=\"invalid API key\"",
            );
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn body(&self, request_id: &str) -> ErrorBody {
        let item = ErrorItem {
            id: request_id.to_owned(),
            status: self.status.as_u16().to_string(),
            code: self.code.to_owned(),
            title: self.title.to_owned(),
            detail: self.detail.clone(),
            source: self.source.clone(),
        };
        ErrorBody { errors: vec![item] }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Duplicate => Self::already_exists("a resource with the same unique value exists"),
            StoreError::BrokenReference => Self::conflict("another request changed a related resource: try again"),
            StoreError::Unavailable(_) => {
                error!(error = &error as &dyn std::error::Error, "the database is not available");
                Self::unavailable()
            }
            StoreError::Failed(_) => {
                error!(error = &error as &dyn std::error::Error, "the database refused a statement");
                Self::internal()
            }
        }
    }
}

impl From<TakeError> for ApiError {
    fn from(error: TakeError) -> Self {
        let detail = error.to_string();
        match error {
            TakeError::Exceeded { quota, .. } => Self::quota_exceeded(detail).at(quota.pointer),
            TakeError::Store(error) => error.into(),
        }
    }
}

impl From<AuthenticationError> for ApiError {
    fn from(error: AuthenticationError) -> Self {
        match error {
            // The words "invalid API key" tell a client in wide use that the resource is not gone.
            AuthenticationError::Missing => Self::unauthenticated(format!("invalid API key: {error}")),
            AuthenticationError::Invalid | AuthenticationError::SessionOver => Self::unauthenticated(error.to_string()),
            AuthenticationError::TooManyRequests(charge) => Self::too_many_requests(Some(charge)),
            AuthenticationError::Store(error) => error.into(),
        }
    }
}

impl From<RandomError> for ApiError {
    fn from(error: RandomError) -> Self {
        error!(error = &error as &dyn std::error::Error, "no randomness");
        Self::internal()
    }
}
