//! Entity tags: which version of an object an answer shows, and conditions on it.
//!
//! A tag is strong: a hash of everything that the object's GET shows. `If-Match` on PATCH and DELETE is checked
//! while the object's row is locked, so that nobody changes it between the check and the change. Never evaluated
//! before it is known that the caller may see and change the object: a condition tells nothing about others' objects.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;

use super::error::ApiError;
use crate::app::App;

/// Bytes of an answer that a tag is computed of at most.
const MAX_TAGGED_BYTES: usize = 1024 * 1024;
/// Tags of one condition at most.
const MAX_TAGS: usize = 100;

/// What a caller demands of the present state of an object.
pub struct Condition {
    /// None: nothing.
    tags: Option<Vec<String>>,
}

impl FromRequestParts<Arc<App>> for Condition {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, ApiError> {
        let mut tags = Vec::new();
        for value in parts.headers.get_all(IF_MATCH) {
            let text = value.to_str().map_err(|_| ApiError::bad_request("If-Match cannot be read"))?;
            tags.extend(text.split(',').map(|tag| tag.trim().to_owned()));
        }
        if tags.len() > MAX_TAGS {
            return Err(ApiError::bad_request(format!("If-Match may have {MAX_TAGS} tags at most")));
        }
        let is_given = parts.headers.contains_key(IF_MATCH);
        Ok(Self { tags: is_given.then_some(tags) })
    }
}

impl Condition {
    /// Fails with 412 unless the object is in one of the versions that the caller named.
    pub fn check<T: Serialize>(&self, present: &T) -> Result<(), ApiError> {
        let Some(tags) = &self.tags else { return Ok(()) };
        let present = serde_json::to_value(present).map_err(|_| ApiError::internal())?;
        let present = tag_of(present);
        match tags.iter().any(|tag| tag == "*" || *tag == present) {
            true => Ok(()),
            false => Err(ApiError::precondition_failed()),
        }
    }
}

/// Puts a tag on each answer that shows one object.
pub async fn layer(request: Request<Body>, next: Next) -> Response {
    let shows_one_object = match *request.method() {
        Method::GET => {
            let route = request.extensions().get::<MatchedPath>();
            route.is_some_and(|route| route.as_str().ends_with('}') && !route.as_str().starts_with("/kafka/"))
        }
        Method::POST | Method::PATCH => !request.uri().path().starts_with("/kafka/"),
        _ => false,
    };
    let response = next.run(request).await;
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/json");
    match shows_one_object && response.status().is_success() && is_json {
        true => with_tag(response).await,
        false => response,
    }
}

async fn with_tag(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // Bodies of objects are in memory already.
    let Ok(bytes) = to_bytes(body, MAX_TAGGED_BYTES).await else {
        return axum::response::IntoResponse::into_response(ApiError::internal());
    };
    let object = serde_json::from_slice::<Value>(&bytes).ok().filter(|object| object.get("id").is_some());
    if let Some(tag) = object.and_then(|object| HeaderValue::from_str(&tag_of(object)).ok()) {
        parts.headers.insert(ETAG, tag);
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// The tag of an object as its GET shows it.
fn tag_of(mut object: Value) -> String {
    // Only the answer that made a key shows its secret.
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("secret");
    }
    // How far brokers are is no version of the object.
    if let Some(fields) = object.as_object_mut()
        && fields.get("status").is_some_and(|status| status.get("propagation").is_some())
    {
        fields.remove("status");
    }
    let hash = digest::digest(&digest::SHA256, object.to_string().as_bytes());
    let half = hash.as_ref().get(..16).unwrap_or_default();
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tag_changes_with_each_field_but_not_with_the_secret_or_the_propagation() {
        let object = json!({"id":"A","spec":{"display_name":"a"}});
        assert_eq!(tag_of(object.clone()), tag_of(json!({"id":"A","spec":{"display_name":"a","secret":"s"}})));
        let propagating = json!({"id":"A","spec":{"display_name":"a"},"status":{"propagation":{"state":"PENDING"}}});
        assert_eq!(tag_of(object.clone()), tag_of(propagating));
        for other in [
            json!({"id":"A","spec":{"display_name":"b"}}),
            json!({"id":"A","spec":{}}),
            json!({"id":"B"}),
            json!({"id":"A","spec":{"display_name":"a"},"status":{"phase":"READY"}}),
        ] {
            assert_ne!(tag_of(object.clone()), tag_of(other));
        }
    }

    #[test]
    fn a_condition_holds_for_the_versions_that_it_names() {
        let object = json!({"id":"A"});
        let condition = |tags: &[&str]| Condition { tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()) };
        assert!(Condition { tags: None }.check(&object).is_ok());
        assert!(condition(&["*"]).check(&object).is_ok());
        assert!(condition(&["\"x\"", &tag_of(object.clone())]).check(&object).is_ok());
        // A weak tag is no proof.
        assert!(condition(&[&format!("W/{}", tag_of(object.clone()))]).check(&object).is_err());
        for tags in [&["\"x\""][..], &[""], &[]] {
            assert!(condition(tags).check(&object).is_err(), "{tags:?}");
        }
    }
}
