//! JSON bodies: bounded in size and depth before anything is parsed, and errors that point at the field.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use tokio::time::timeout;

use super::error::ApiError;
use super::objects;

/// Bytes of a body at most.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// How deep objects and lists may be nested.
pub const MAX_JSON_DEPTH: usize = 32;
/// How long a body may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Characters of a parser's message that are passed on at most.
const MAX_MESSAGE_CHARS: usize = 300;

/// A parsed JSON body and the bytes it was parsed from.
pub struct JsonBody<T> {
    /// The parsed value.
    pub value: T,
    /// The bytes, for the hash of a repeated request.
    pub bytes: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::unsupported_media_type());
        }
        let bytes = read(request.into_body(), MAX_BODY_BYTES).await.map_err(|error| match error {
            ReadBodyError::TooLarge => {
                ApiError::bad_request(format!("the body must have at most {MAX_BODY_BYTES} bytes")).at("")
            }
            ReadBodyError::Interrupted => ApiError::bad_request("the body did not arrive in full and in time").at(""),
        })?;
        let value = parse(&bytes)?;
        Ok(Self { value, bytes })
    }
}

/// A missing content type is taken for JSON, as nothing else is spoken here; patches may be called by their own names.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBodyError {
    /// Longer than allowed.
    TooLarge,
    /// It ended early or did not come in time.
    Interrupted,
}

/// Reads a body up to a limit, in bounded time.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, ReadBodyError> {
    match timeout(BODY_TIMEOUT, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let too_large =
                std::error::Error::source(&error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
            Err(if too_large { ReadBodyError::TooLarge } else { ReadBodyError::Interrupted })
        }
        Err(_) => Err(ReadBodyError::Interrupted),
    }
}

/// Parses a body, which must be a JSON object.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    check_depth(bytes)?;
    // The parser skips what nobody asked for without looking at it.
    if std::str::from_utf8(bytes).is_err() {
        return Err(ApiError::bad_request("the body must be UTF-8").at(""));
    }
    // The parser would take a list for an object with its fields in order.
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return Err(ApiError::bad_request("the body must be a JSON object").at(""));
    }
    // What is not JSON at all is left to the parser, which knows the place.
    if let Ok(body) = serde_json::from_slice(bytes) {
        objects::check::<T>(body).map_err(|error| refusal(&error))?;
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| refusal(&error))?;
    deserializer.end().map_err(|error| ApiError::bad_request(shorten(&error.to_string())).at(""))?;
    Ok(value)
}

fn refusal(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let message = error.inner().to_string();
    ApiError::bad_request(shorten(&message)).at(pointer_to(error.path(), &message))
}

/// Refuses deep nesting without recursion, so that no input reaches the end of the stack.
fn check_depth(bytes: &[u8]) -> Result<(), ApiError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
        if depth > MAX_JSON_DEPTH {
            let detail = format!("the body must not be nested deeper than {MAX_JSON_DEPTH} levels");
            return Err(ApiError::bad_request(detail).at(""));
        }
    }
    Ok(())
}

/// The JSON Pointer of a path; a missing field is pointed at where it should have been, and so is one that is there twice.
fn pointer_to(path: &Path, message: &str) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push_token(&mut pointer, &index.to_string()),
            Segment::Map { key } => push_token(&mut pointer, key),
            Segment::Enum { variant } => push_token(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    let named = message.strip_prefix("missing field `").or_else(|| message.strip_prefix("duplicate field `"));
    if let Some((field, _)) = named.and_then(|rest| rest.split_once('`')) {
        push_token(&mut pointer, field);
    }
    pointer
}

fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&shorten(token).replace('~', "~0").replace('/', "~1"));
}

fn shorten(message: &str) -> String {
    message.chars().take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_api::rest::cmk::CreateCluster;

    fn pointer(body: &str) -> String {
        let error = parse::<CreateCluster>(body.as_bytes()).expect_err("it is refused");
        format!("{error:?}")
            .split("pointer: Some(\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a pointer")
            .to_owned()
    }

    #[test]
    fn an_error_points_at_the_field() {
        assert_eq!(pointer("{}"), "/spec");
        assert_eq!(pointer(r#"{"spec":{"display_name":7}}"#), "/spec/display_name");
        assert_eq!(pointer(r#"{"spec":{"display_name":"a"}}"#), "/spec/availability");
        let wrong_kind = r#"{"spec":{"display_name":"a","availability":"LOW","cloud":"AWS","region":"r",
            "config":{"kind":"Huge"},"environment":{"id":"env-a"}}}"#;
        assert_eq!(pointer(wrong_kind), "/spec/config/kind");
        assert_eq!(pointer(r#"{"spec":["a"]}"#), "/spec");
        assert_eq!(pointer(r#"{"spec":[null,null,null,null,null,null]}"#), "/spec");
        let list = r#"{"spec":{"display_name":"a","availability":"LOW","cloud":"AWS","region":"r",
            "config":{"kind":"Basic"},"environment":["env-a"]}}"#;
        assert_eq!(pointer(list), "/spec/environment");
        assert_eq!(pointer("{"), "");
        assert_eq!(pointer(""), "");
        assert_eq!(pointer("[1"), "");
    }

    #[test]
    fn deep_nesting_is_refused_and_brackets_in_strings_do_not_count() {
        let deep = "[".repeat(1_000_000);
        assert!(parse::<serde_json::Value>(deep.as_bytes()).is_err());
        let levels = MAX_JSON_DEPTH - 1;
        let allowed = format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(parse::<serde_json::Value>(allowed.as_bytes()).is_ok());
        let text = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(100), "{".repeat(100));
        assert!(parse::<serde_json::Value>(text.as_bytes()).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse::<CreateCluster>(&bytes);
        }

        #[test]
        fn no_json_like_text_makes_the_parser_panic(text in r#"[\[\]{}",:\\a-e0-9 ]{0,200}"#) {
            let _ = parse::<CreateCluster>(text.as_bytes());
        }
    }

    #[test]
    fn what_follows_the_body_is_refused() {
        assert!(parse::<serde_json::Value>(b"{} {}").is_err());
        assert!(parse::<serde_json::Value>(b"\xff").is_err());
    }
}
