//! The HTTP client of the CLI: JSON in, JSON out, with an API key or the token of a session.
//!
//! Promises a time limit and a size limit on every answer, and that a list is followed only on the server that was
//! asked. Understands the error bodies of the control plane and of kafka/v3. Never retries a write.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use crate::failure::{Failure, FailureKind, chain};
use crate::output::printable;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// Objects asked for in one page of a list.
const PAGE_SIZE: &str = "100";
/// Pages that are followed before a list is called endless.
const MAX_PAGES: usize = 1_000;
/// How much of an answer that is not JSON is shown.
const MAX_SHOWN_CHARS: usize = 200;

/// A key and its secret. Has no `Debug`: it holds a secret.
#[derive(Clone)]
pub struct KeyPair {
    pub key: String,
    pub secret: String,
}

/// Who asks. Has no `Debug`: it holds secrets.
#[derive(Clone)]
pub enum Identity {
    /// Nobody, for logging in.
    Nobody,
    /// Whoever owns an API key.
    Key(KeyPair),
    /// Whoever began the session with this token.
    Token(String),
}

impl From<KeyPair> for Identity {
    fn from(key: KeyPair) -> Self {
        Self::Key(key)
    }
}

/// Why a request was not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    #[error("{url:?} is not the address of a REST API")]
    BadUrl { url: String },
    #[error("cannot use the certificates of {path}")]
    BadCertificates { path: String, source: reqwest::Error },
    #[error("cannot reach {origin}")]
    Unreachable { origin: String, source: reqwest::Error },
    #[error("{detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("{origin} answered {status} with something that is not JSON: {shown}")]
    NotJson { origin: String, status: StatusCode, shown: String },
    #[error("the answer of {origin} is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge { origin: String },
    #[error("the list at {origin} does not end after {MAX_PAGES} pages")]
    Endless { origin: String },
}

impl From<RestError> for Failure {
    fn from(error: RestError) -> Self {
        let kind = match &error {
            RestError::BadUrl { .. } | RestError::BadCertificates { .. } => FailureKind::Usage,
            RestError::Unreachable { .. } => FailureKind::Unreachable,
            RestError::Refused { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FailureKind::NotAuthorized,
                StatusCode::NOT_FOUND => FailureKind::NotFound,
                _ => FailureKind::Failed,
            },
            RestError::NotJson { .. } | RestError::TooLarge { .. } | RestError::Endless { .. } => FailureKind::Failed,
        };
        let failure = Failure::new(kind, chain(&error));
        match kind {
            FailureKind::Unreachable => {
                failure.suggest("is the service running? `millstream up` starts it on this machine")
            }
            FailureKind::NotAuthorized => {
                failure.suggest("check the key and its secret; docs/cli.md says where a command takes them from")
            }
            _ => failure,
        }
    }
}

/// A client for one server and one identity.
#[derive(Clone)]
pub struct RestClient {
    http: reqwest::Client,
    base: Url,
    identity: Identity,
}

impl RestClient {
    /// A client for the server at `url`. No connection is opened yet.
    pub fn new(url: &str, identity: impl Into<Identity>, ca_file: Option<&Path>) -> Result<Self, RestError> {
        let bad_url = || RestError::BadUrl { url: url.to_string() };
        let base = Url::parse(url).map_err(|_| bad_url())?;
        let usable = matches!(base.scheme(), "http" | "https") && base.host().is_some();
        if !usable {
            return Err(bad_url());
        }
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("millstream-cli/", env!("CARGO_PKG_VERSION")))
            // Credentials go to the server that was named and to no other.
            .redirect(reqwest::redirect::Policy::none());
        let builder = match ca_file {
            Some(path) => builder.tls_certs_merge(read_certificates(path)?),
            // Reading the machine's certificates takes longer than a whole request over plain HTTP.
            None if base.scheme() == "http" => builder.tls_certs_only([]),
            None => builder,
        };
        let http = builder.build().map_err(|source| RestError::BadCertificates {
            path: ca_file.map_or("this machine".to_string(), |path| path.display().to_string()),
            source,
        })?;
        Ok(Self { http, base, identity: identity.into() })
    }

    /// Reads one object.
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, RestError> {
        self.send(Method::GET, self.url(path, query), None).await
    }

    /// Creates something.
    pub async fn post(&self, path: &[&str], query: &[(&str, &str)], body: &Value) -> Result<Value, RestError> {
        self.send(Method::POST, self.url(path, query), Some(body)).await
    }

    /// Changes something.
    pub async fn patch(&self, path: &[&str], query: &[(&str, &str)], body: &Value) -> Result<Value, RestError> {
        self.send(Method::PATCH, self.url(path, query), Some(body)).await
    }

    /// Deletes something.
    pub async fn delete(&self, path: &[&str], query: &[(&str, &str)]) -> Result<(), RestError> {
        self.send(Method::DELETE, self.url(path, query), None).await.map(|_| ())
    }

    /// Reads all pages of a list.
    pub async fn list(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<Value>, RestError> {
        let mut objects = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut page_query = query.to_vec();
            page_query.push(("page_size", PAGE_SIZE));
            if let Some(token) = &token {
                page_query.push(("page_token", token));
            }
            let mut page = self.get(path, &page_query).await?;
            if let Some(Value::Array(data)) = page.get_mut("data").map(Value::take) {
                objects.extend(data);
            }
            token = page.pointer("/metadata/next").and_then(Value::as_str).and_then(page_token);
            if token.is_none() {
                return Ok(objects);
            }
        }
        Err(RestError::Endless { origin: self.origin() })
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("the address was checked to have a host").pop_if_empty().extend(path);
        url.set_query(None);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    async fn send(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Value, RestError> {
        let unreachable =
            |source: reqwest::Error| RestError::Unreachable { origin: self.origin(), source: source.without_url() };
        let mut request = self.http.request(method, url);
        request = match &self.identity {
            Identity::Nobody => request,
            Identity::Key(pair) => request.basic_auth(&pair.key, Some(&pair.secret)),
            Identity::Token(token) => request.bearer_auth(token),
        };
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(RestError::TooLarge { origin: self.origin() });
            }
            bytes.extend_from_slice(&chunk);
        }
        self.understand(status, &bytes)
    }

    fn understand(&self, status: StatusCode, bytes: &[u8]) -> Result<Value, RestError> {
        let parsed = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(bytes) };
        match parsed {
            Ok(value) if status.is_success() => Ok(value),
            Ok(value) => Err(RestError::Refused { status, detail: error_detail(status, &value) }),
            Err(_) => {
                let text = String::from_utf8_lossy(bytes);
                let shown = printable(&text.chars().take(MAX_SHOWN_CHARS).collect::<String>());
                Err(RestError::NotJson { origin: self.origin(), status, shown })
            }
        }
    }
}

fn read_certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, RestError> {
    // An unreadable file becomes an empty bundle, and the handshake then says that the authority is unknown;
    // the caller has checked that the file can be read.
    let pem = std::fs::read(path).unwrap_or_default();
    reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|source| RestError::BadCertificates { path: path.display().to_string(), source })
}

fn page_token(next: &str) -> Option<String> {
    // Only the token is taken from the link, so that credentials never follow it to another server.
    let url = Url::parse(next).or_else(|_| Url::parse("http://relative/").and_then(|base| base.join(next))).ok()?;
    url.query_pairs().find(|(name, _)| name == "page_token").map(|(_, value)| value.into_owned())
}

/// The sentence in an error body: `{"errors":[{"detail"}]}` of the control plane or `{"message"}` of kafka/v3.
fn error_detail(status: StatusCode, body: &Value) -> String {
    let details = body.get("errors").and_then(Value::as_array).map(|errors| {
        let details = errors
            .iter()
            .filter_map(|error| error.get("detail").or_else(|| error.get("title")).and_then(Value::as_str));
        details.collect::<Vec<_>>().join("; ")
    });
    let message = body.get("message").and_then(Value::as_str).map(str::to_string);
    let text =
        details.filter(|text| !text.is_empty()).or(message).unwrap_or_else(|| format!("the service answered {status}"));
    let text = printable(&text);
    text.strip_suffix('.').unwrap_or(&text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> RestClient {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let credentials = KeyPair { key: "key".into(), secret: "secret".into() };
        RestClient::new(url, credentials, None).expect("client")
    }

    #[test]
    fn names_cannot_leave_their_place_in_the_path() {
        let url = client("http://127.0.0.1:1/").url(&["kafka", "v3", "topics", "../a?b#c/d"], &[("x", "a&b")]);
        assert_eq!(url.as_str(), "http://127.0.0.1:1/kafka/v3/topics/..%2Fa%3Fb%23c%2Fd?x=a%26b");
    }

    #[test]
    fn a_link_gives_its_token_whatever_server_it_names() {
        assert_eq!(page_token("https://evil.example/x?page_size=2&page_token=abc%3D").as_deref(), Some("abc="));
        assert_eq!(page_token("/org/v2/environments?page_token=z").as_deref(), Some("z"));
        assert_eq!(page_token("http://a/b"), None);
    }

    #[test]
    fn both_error_shapes_give_their_sentence() {
        let control_plane = serde_json::json!({"errors": [{"detail": "Name is taken."}, {"title": "Second"}]});
        assert_eq!(error_detail(StatusCode::CONFLICT, &control_plane), "Name is taken.; Second");
        let kafka =
            serde_json::json!({"error_code": 40403, "message": "This server does not host this topic-partition."});
        assert_eq!(error_detail(StatusCode::NOT_FOUND, &kafka), "This server does not host this topic-partition");
        let odd = serde_json::json!({"errors": []});
        assert_eq!(error_detail(StatusCode::BAD_GATEWAY, &odd), "the service answered 502 Bad Gateway");
    }

    #[test]
    fn only_addresses_of_http_servers_are_accepted() {
        let credentials = KeyPair { key: String::new(), secret: String::new() };
        for wrong in ["", "localhost", "localhost:8080", "ftp://a", "http://", "file:///etc"] {
            assert!(RestClient::new(wrong, credentials.clone(), None).is_err(), "{wrong:?} was accepted");
        }
    }
}
