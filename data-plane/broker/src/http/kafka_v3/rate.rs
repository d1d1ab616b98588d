//! How many requests per second a tenant may send to kafka/v3.
//!
//! Administrative requests have a rate of their own. Records are charged like those of the Kafka protocol: a request
//! is refused while the tenant or the principal owes bytes, and what it stores is charged when it is stored. Refused
//! requests are answered with 429 and when to come again.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::scope::Scope;
use crate::http::error::RestError;

/// What the path of a request to store records ends with.
const RECORDS: &str = "/records";

/// Lets the request through, or answers 429.
pub(super) async fn limit(request: Request, next: Next) -> Response {
    let Some(scope) = request.extensions().get::<Scope>() else {
        return RestError::authentication_failed().into_response();
    };
    let is_records = request.uri().path().ends_with(RECORDS);
    let admitted = if is_records { scope.quota.admit_records() } else { scope.quota.admit_rest_admin() };
    match admitted {
        Ok(()) => next.run(request).await,
        Err(wait) => RestError::too_many_requests(wait).into_response(),
    }
}
