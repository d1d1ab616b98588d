//! Reads JSON bodies of requests.
//!
//! Promises: a body is bounded in size and depth before anything is made of it; what is wrong is said with the
//! field and the place. Depth is bounded by serde_json itself, at 128.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::error::RestError;

/// Largest body of any request.
pub(super) const MAX_BODY_BYTES: usize = 12 * 1024 * 1024;

/// A body that must be one JSON value of this type.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = RestError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, RestError> {
        let body = read(request).await?;
        // A list would do for serde where an object is meant.
        let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if !is_object {
            return Err(RestError::malformed("the body must be a JSON object"));
        }
        let value = serde_json::from_slice(&body).map_err(|error| RestError::malformed(error.to_string()))?;
        Ok(Self(value))
    }
}

/// A body of JSON that the handler parses.
pub(super) struct RawJsonBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawJsonBody {
    type Rejection = RestError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, RestError> {
        read(request).await.map(Self)
    }
}

async fn read(request: Request) -> Result<Bytes, RestError> {
    if !is_json(request.headers()) {
        let message = "HTTP 415 Unsupported Media Type: send Content-Type: application/json";
        return Err(RestError::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let body = axum::body::to_bytes(request.into_body(), MAX_BODY_BYTES).await;
    let body = body.map_err(|error| {
        let mut source = std::error::Error::source(&error);
        let mut is_too_large = false;
        while let Some(inner) = source {
            is_too_large |= inner.is::<http_body_util::LengthLimitError>();
            source = inner.source();
        }
        if is_too_large {
            let message = format!("the body is larger than {MAX_BODY_BYTES} bytes");
            return RestError::plain(StatusCode::PAYLOAD_TOO_LARGE, message);
        }
        RestError::malformed("the body of the request did not come completely")
    })?;
    if body.iter().all(u8::is_ascii_whitespace) {
        let message = "Payload error. Request body is empty. Data is required.";
        return Err(RestError::plain(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    Ok(body)
}

/// A missing content type is taken for JSON, as nothing else is spoken here.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.is_empty() || essence.eq_ignore_ascii_case("application/json")
}
