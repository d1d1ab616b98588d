//! `Idempotency-Key` on POST: a repetition finds what the first request made, instead of making another.
//!
//! Promises: the same key with the same request gives the same object, within 24 hours; with another request it is
//! refused. The secret of an API key made this way is derived from the key the client sent, so it can be given again
//! without being stored.

use aws_lc_rs::digest;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millstream_api::ids::ApiKeyId;

use super::caller::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::domain::api_key::SECRET_RANDOM_BYTES;
use crate::random;
use crate::store::Transaction;
use crate::store::error::StoreError;
use crate::store::idempotency::{self as store, Remembered};

const HEADER: &str = "idempotency-key";
/// Characters of a key at most.
const MAX_KEY_CHARS: usize = 255;

/// The key a client sent, if it did.
pub struct Idempotency {
    key: Option<String>,
    path: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Idempotency {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let path = parts.uri.path().to_owned();
        let Some(value) = parts.headers.get(HEADER) else { return Ok(Self { key: None, path }) };
        let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= MAX_KEY_CHARS);
        let Some(key) = key else {
            return Err(ApiError::bad_request("Idempotency-Key must have 1 to 255 printable characters"));
        };
        Ok(Self { key: Some(key.to_owned()), path })
    }
}

impl Idempotency {
    /// The id that an earlier request with the same key made, if there was one.
    pub async fn find(
        &self,
        transaction: &mut Transaction,
        caller: &Caller,
        body: &[u8],
    ) -> Result<Option<String>, ApiError> {
        let Some(key) = &self.key else { return Ok(None) };
        let principal = caller.principal().to_string();
        let Some(found) = store::find(transaction, &caller.scope, &principal, &hash_text(key)).await? else {
            return Ok(None);
        };
        if found.request_hash != self.request_hash(body) {
            return Err(ApiError::unprocessable("the Idempotency-Key was used for another request: use a new one"));
        }
        Ok(Some(found.created_id))
    }

    /// Remembers what this request makes.
    pub async fn remember(
        &self,
        app: &App,
        transaction: &mut Transaction,
        caller: &Caller,
        body: &[u8],
        created_id: &str,
    ) -> Result<(), ApiError> {
        let Some(key) = &self.key else { return Ok(()) };
        let remembered = Remembered { request_hash: self.request_hash(body), created_id: created_id.to_owned() };
        let (principal, hash) = (caller.principal().to_string(), hash_text(key));
        let stored = store::remember(transaction, &caller.scope, &principal, &hash, &remembered, app.clock.now()).await;
        stored.map_err(|error| match error {
            StoreError::Duplicate => {
                ApiError::conflict("a request with the same Idempotency-Key is in progress: try again").retry_after(1)
            }
            other => other.into(),
        })
    }

    /// The bytes that an API key's secret is formed of: random, unless the client can ask for them again.
    pub fn secret_bytes(&self, app: &App, id: &ApiKeyId) -> Result<[u8; SECRET_RANDOM_BYTES], ApiError> {
        let Some(key) = &self.key else { return Ok(random::bytes()?) };
        let mut bytes = [0; SECRET_RANDOM_BYTES];
        for (chunk, part) in bytes.chunks_mut(32).zip(["first", "second"]) {
            let derived = app.secrets.derive(&["api-key secret", id.as_str(), key, part]);
            chunk.copy_from_slice(&derived[..chunk.len()]);
        }
        Ok(bytes)
    }

    fn request_hash(&self, body: &[u8]) -> Vec<u8> {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(self.path.as_bytes());
        context.update(b"\n");
        context.update(body);
        context.finish().as_ref().to_vec()
    }
}

/// What the answer to a repetition is when its object was deleted meanwhile.
pub fn gone() -> ApiError {
    ApiError::conflict("what the first request with this Idempotency-Key made was deleted: use a new key")
}

fn hash_text(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, key.as_bytes()))
}
