//! Forms of successful answers.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use millstream_api::rest::envelope::ObjectMetadata;
use serde::Serialize;

use crate::app::App;
use crate::domain::timestamp::Timestamp;

/// 201 with `Location`.
pub fn created<T: Serialize>(metadata: &ObjectMetadata, body: &T) -> Response {
    with_location(StatusCode::CREATED, metadata, body)
}

/// 202 with `Location`.
pub fn accepted<T: Serialize>(metadata: &ObjectMetadata, body: &T) -> Response {
    with_location(StatusCode::ACCEPTED, metadata, body)
}

fn with_location<T: Serialize>(status: StatusCode, metadata: &ObjectMetadata, body: &T) -> Response {
    let mut response = (status, Json(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(&metadata.self_url) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The metadata of an object.
pub fn metadata(app: &App, path: &str, resource_name: String, created_at: i64, updated_at: i64) -> ObjectMetadata {
    ObjectMetadata {
        self_url: format!("{}{path}", app.public_url),
        resource_name: Some(resource_name),
        created_at: Some(Timestamp(created_at).to_utc()),
        updated_at: Some(Timestamp(updated_at).to_utc()),
    }
}
