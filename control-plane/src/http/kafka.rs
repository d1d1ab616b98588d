//! `/kafka/v3/…`: authenticated here, answered by a broker of the cluster.
//!
//! Promises: the tenant comes from the key (or, for a Cloud key, from a cluster of its own organization), never from
//! the path alone. Errors have the form of kafka/v3. The path is passed on as it came.

use std::sync::Arc;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use millstream_api::fleet::{ForwardedRequest, HttpAnswer, MAX_FORWARDED_BODY_BYTES};
use millstream_api::ids::{LogicalClusterId, PhysicalClusterId};
use millstream_api::kafka_rest::endpoints::ENDPOINTS;
use millstream_api::rest::errors::KafkaErrorBody;
use tracing::error;

use super::body::{ReadBodyError, read};
use super::credentials::authenticate;
use super::error::ApiError;
use crate::app::App;
use crate::authentication::{Authenticated, AuthenticationError};
use crate::domain::api_key::KeyScope;
use crate::domain::authorization::{Action, Decision, Target};
use crate::fleet::forwarders::ForwardError;
use crate::store::error::StoreError;
use crate::store::logical_clusters;

/// Characters of path and query at most.
const MAX_PATH_CHARS: usize = 8_192;
/// Characters of a content type at most.
const MAX_CONTENT_TYPE_CHARS: usize = 256;

/// The code in the body of an error, for the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

/// Answers a request through a broker.
pub async fn handle(State(app): State<Arc<App>>, request: Request) -> Response {
    match forward(&app, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn forward(app: &App, request: Request) -> Result<Response, KafkaError> {
    let (parts, body) = request.into_parts();
    let caller = authenticate(app, &parts).await?;
    let named = cluster_in_path(parts.uri.path());
    let allowed = allowed_methods(parts.extensions.get::<MatchedPath>());
    // No cluster could answer for all of them.
    if named.is_none() && !allowed.is_empty() && !allowed.contains(&parts.method.as_str()) {
        return Ok(with_allowed(answer(StatusCode::METHOD_NOT_ALLOWED, 405, "HTTP 405 Method Not Allowed"), &allowed));
    }
    let (cluster, physical_cluster) = find_cluster(app, &caller, named).await?;

    let path_and_query = parts.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
    if path_and_query.len() > MAX_PATH_CHARS {
        return Err(KafkaError::PathTooLong);
    }
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let body = read(body, MAX_FORWARDED_BODY_BYTES).await.map_err(KafkaError::Body)?;
    let forwarded = ForwardedRequest {
        id: 0,
        logical_cluster_id: cluster.to_string(),
        principal: caller.grants.principal.to_string(),
        method: parts.method.as_str().to_owned(),
        path_and_query,
        content_type: content_type.chars().take(MAX_CONTENT_TYPE_CHARS).collect(),
        body,
        base_url: app.public_url.clone(),
    };
    let physical_cluster = physical_cluster.ok_or(ForwardError::NoBroker)?;
    let answer = app.forwarders.forward(&physical_cluster, forwarded).await?;
    let response = to_response(answer)?;
    match response.status() {
        // A broker's answer comes without the header, which HTTP asks for.
        StatusCode::METHOD_NOT_ALLOWED => Ok(with_allowed(response, &allowed)),
        _ => Ok(response),
    }
}

/// The methods of a path, as the table has them.
fn allowed_methods(route: Option<&MatchedPath>) -> Vec<&'static str> {
    let path = route.map_or(String::new(), |route| route.as_str().replace("%3A", ":"));
    ENDPOINTS.iter().filter(|endpoint| endpoint.path == path).map(|endpoint| endpoint.method.as_str()).collect()
}

fn with_allowed(mut response: Response, methods: &[&str]) -> Response {
    if let Ok(value) = HeaderValue::from_str(&methods.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// The text in the place of the cluster's id, if the path has one.
fn cluster_in_path(path: &str) -> Option<&str> {
    let mut segments = path.strip_prefix("/kafka/v3/")?.split('/');
    match (segments.next(), segments.next()) {
        (Some("clusters"), Some(id)) if !id.is_empty() => Some(id),
        _ => None,
    }
}

async fn find_cluster(
    app: &App,
    caller: &Authenticated,
    named: Option<&str>,
) -> Result<(LogicalClusterId, Option<PhysicalClusterId>), KafkaError> {
    let wanted = match (&caller.key_scope, named) {
        // A key of another cluster is no key here. Not 404: clients would take the topic for deleted.
        (KeyScope::Kafka(own), Some(named)) if named != own.as_str() => return Err(AuthenticationError::Invalid.into()),
        (KeyScope::Kafka(own), _) => own.clone(),
        (KeyScope::Cloud, Some(named)) => named.parse().map_err(|_| KafkaError::UnknownCluster)?,
        (KeyScope::Cloud, None) => return Err(KafkaError::UnknownCluster),
    };
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let row = logical_clusters::get(&mut transaction, &caller.scope, &wanted).await?;
    let row = row.ok_or(KafkaError::UnknownCluster)?;
    let is_own = matches!(caller.key_scope, KeyScope::Kafka(_));
    let target = Target::Cluster(&row.environment_id, &row.id);
    if !is_own && caller.grants.decide(Action::ViewCluster, target) != Decision::Allowed {
        return Err(KafkaError::UnknownCluster);
    }
    Ok((row.id, row.physical_cluster_id))
}

fn to_response(answer: HttpAnswer) -> Result<Response, KafkaError> {
    let status = u16::try_from(answer.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.filter(|status| status.as_u16() >= 200).ok_or(KafkaError::BadAnswer)?;
    let refused = status.is_client_error() || status.is_server_error();
    let error = refused.then(|| serde_json::from_slice::<KafkaErrorBody>(&answer.body).ok()).flatten();
    let mut response = (status, answer.body).into_response();
    if let Some(body) = error {
        response.extensions_mut().insert(ErrorCode(body.error_code));
    }
    response.headers_mut().remove(CONTENT_TYPE);
    let headers = [(CONTENT_TYPE, answer.content_type), (LOCATION, answer.location), (RETRY_AFTER, answer.retry_after)];
    for (name, value) in headers {
        if !value.is_empty() {
            let value = HeaderValue::from_str(&value).map_err(|_| KafkaError::BadAnswer)?;
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Why a request was not answered by a broker.
#[derive(Debug, thiserror::Error)]
enum KafkaError {
    #[error(transparent)]
    Authentication(#[from] AuthenticationError),
    #[error("the cluster does not exist: begin the path with /kafka/v3/clusters/ and its id")]
    UnknownCluster,
    #[error("path and query must have at most {MAX_PATH_CHARS} characters")]
    PathTooLong,
    #[error("the body cannot be read")]
    Body(ReadBodyError),
    #[error("the broker's answer cannot be passed on")]
    BadAnswer,
    #[error(transparent)]
    Forward(#[from] ForwardError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KafkaError {
    fn into_response(self) -> Response {
        let message = self.to_string();
        match self {
            Self::Authentication(AuthenticationError::Store(error)) | Self::Store(error) => {
                error!(error = &error as &dyn std::error::Error, "the database failed");
                answer(StatusCode::SERVICE_UNAVAILABLE, 50003, "the service is not available: try again shortly")
            }
            Self::Authentication(AuthenticationError::TooManyRequests(charge)) => {
                ApiError::too_many_requests(Some(charge)).into_response()
            }
            Self::Authentication(_) => {
                let mut response =
                    answer(StatusCode::UNAUTHORIZED, 40101, &format!("Authentication failed: {message}"));
                let challenge = HeaderValue::from_static("Basic realm=\"millstream\", error=\"invalid_key\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            Self::UnknownCluster => answer(StatusCode::NOT_FOUND, 404, &message),
            Self::PathTooLong => answer(StatusCode::URI_TOO_LONG, 414, &message),
            Self::Body(ReadBodyError::TooLarge) => {
                let message = format!("the body must have at most {MAX_FORWARDED_BODY_BYTES} bytes");
                answer(StatusCode::PAYLOAD_TOO_LARGE, 413, &message)
            }
            Self::Body(ReadBodyError::Interrupted) => {
                answer(StatusCode::BAD_REQUEST, 400, "the body did not arrive in full and in time")
            }
            Self::BadAnswer => answer(StatusCode::BAD_GATEWAY, 502, &message),
            Self::Forward(ForwardError::TimedOut) => answer(StatusCode::GATEWAY_TIMEOUT, 50401, &message),
            Self::Forward(_) => answer(StatusCode::SERVICE_UNAVAILABLE, 50003, &message),
        }
    }
}

fn answer(status: StatusCode, error_code: u32, message: &str) -> Response {
    let body = KafkaErrorBody { error_code, message: message.to_owned() };
    let mut response = (status, Json(body)).into_response();
    response.extensions_mut().insert(ErrorCode(error_code));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_is_found_in_the_path() {
        assert_eq!(cluster_in_path("/kafka/v3/clusters/lkc-a/topics"), Some("lkc-a"));
        assert_eq!(cluster_in_path("/kafka/v3/clusters/lkc-a"), Some("lkc-a"));
        for path in ["/kafka/v3/clusters", "/kafka/v3/clusters/", "/kafka/v3/", "/kafka/v3/topics/lkc-a"] {
            assert_eq!(cluster_in_path(path), None, "{path}");
        }
    }
}
