//! Basic authentication with a Kafka API key, for requests that reach the broker directly.
//!
//! Promises: a request goes on only with the caller of a key that stands; a wrong secret and an unknown key look
//! alike. Never trusts an identity that came with the request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::uri::Authority;
use http::{HeaderMap, header};

use super::caller::{BaseUrl, Caller};
use super::error::RestError;
use crate::broker::Broker;
use crate::tenants::Credential;

/// Longest header that is looked at.
const MAX_HEADER_BYTES: usize = 4 * 1024;
/// A failed login is answered this much later, so that guessing is slow on every connection.
const FAILURE_DELAY: Duration = Duration::from_millis(100);
/// The host in links when the request names none.
const DEFAULT_HOST: &str = "localhost";

/// Lets the request through with its [`Caller`], or answers 401.
pub(super) async fn authenticate(State(broker): State<Arc<Broker>>, mut request: Request, next: Next) -> Response {
    let credential =
        credentials_in(request.headers()).and_then(|(key, secret)| broker.tenants.authenticate(&key, &secret));
    let Some(credential) = credential else {
        broker.metrics.count_failed_authentication();
        tokio::time::sleep(FAILURE_DELAY).await;
        return RestError::authentication_failed().into_response();
    };
    let Credential { tenant, principal, .. } = credential.as_ref();
    broker.metrics.tenant(tenant).count_authentication();
    let base_url = base_url(request.headers());
    let host = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
    request.extensions_mut().insert(Caller { tenant: tenant.clone(), principal: principal.clone(), host });
    request.extensions_mut().insert(base_url);
    next.run(request).await
}

fn credentials_in(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    if value.len() > MAX_HEADER_BYTES {
        return None;
    }
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (key, secret) = decoded.split_once(':')?;
    Some((key.to_owned(), secret.to_owned()))
}

fn base_url(headers: &HeaderMap) -> BaseUrl {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    let authority = authority.as_ref().map_or(DEFAULT_HOST, Authority::as_str);
    BaseUrl(format!("http://{authority}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(authorization: &str, expected: Option<(&str, &str)>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        let found = credentials_in(&headers);
        assert_eq!(found.as_ref().map(|(key, secret)| (key.as_str(), secret.as_str())), expected, "{authorization}");
    }

    #[test]
    fn a_key_and_a_secret_with_colons_are_read() {
        check(&format!("Basic {}", STANDARD.encode("KEY:a:b")), Some(("KEY", "a:b")));
        check(&format!("basic {}", STANDARD.encode("KEY:")), Some(("KEY", "")));
    }

    #[test]
    fn anything_else_is_no_credential() {
        for wrong in ["", "Basic", "Basic ", "Basic %%%", "Bearer abc", "Basic S0VZ"] {
            check(wrong, None);
        }
        check(&format!("Basic {}", STANDARD.encode("K:".to_owned() + &"x".repeat(MAX_HEADER_BYTES))), None);
    }

    #[test]
    fn links_use_the_host_of_the_request() {
        let mut headers = HeaderMap::new();
        assert_eq!(base_url(&headers).0, "http://localhost");
        headers.insert(header::HOST, HeaderValue::from_static("example.org:8080"));
        assert_eq!(base_url(&headers).0, "http://example.org:8080");
        headers.insert(header::HOST, HeaderValue::from_static("a b/c"));
        assert_eq!(base_url(&headers).0, "http://localhost");
    }
}
