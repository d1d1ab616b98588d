//! Gives each request an id, puts it on the answer and into its error.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::debug;

use super::call::Call;
use super::error::{ApiError, ErrorForm};
use crate::server::Peer;

/// The header that carries the id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost layer of the public listener.
pub async fn layer(mut request: Request<Body>, next: Next) -> Response {
    let call = Arc::new(Call::new(request.extensions().get::<Peer>()));
    request.extensions_mut().insert(Arc::clone(&call));
    let request_id = call.request_id.as_str();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let headers = std::mem::take(response.headers_mut());
        response = error.render(ErrorForm::of_path(&path), request_id);
        // What the layers below put on the answer.
        response.headers_mut().extend(headers);
    }
    debug!(request_id, %method, path, status = response.status().as_u16(), "answered {method} {path}");
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}
