//! Repeated POSTs find what the first one made, instead of making another.
//!
//! With an `Idempotency-Key` the client says that it repeats. Without one, an identical POST of the same caller within a
//! minute is a repetition if the answer to the first was lost, or if there can be only one such object.
//!
//! Promises: the same key with the same request gives the same object, within 24 hours; with another request it is
//! refused. The secret of an API key made this way is derived from the key the client sent, so it can be given again
//! without being stored.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millstream_api::ids::{ApiKeyId, Principal};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::call::Call;
use super::caller::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::domain::api_key::SECRET_RANDOM_BYTES;
use crate::domain::repetition::{AnswerState, Earlier, Verdict, judge};
use crate::domain::timestamp::Timestamp;
use crate::random;
use crate::store::Transaction;
use crate::store::error::StoreError;
use crate::store::idempotency::{self as store, Remembered};
use crate::store::recent_posts::{self, Objects, RecentPost};

const HEADER: &str = "idempotency-key";
/// Characters of a key at most.
const MAX_KEY_CHARS: usize = 255;

/// How long another replica may take to say what became of an answer.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How often it is looked without being told.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Where POSTs make objects, and where these objects are.
struct Collection {
    path: &'static str,
    table: &'static str,
    /// Where the body has a name that can be changed later.
    name_pointer: Option<&'static str>,
    /// Whether a second identical request is not a repetition as long as the answer to the first arrived.
    may_be_made_twice: bool,
}

const COLLECTIONS: &[Collection] = &[
    Collection {
        path: "/org/v2/environments",
        table: "environments",
        name_pointer: Some("/display_name"),
        may_be_made_twice: false,
    },
    Collection {
        path: "/iam/v2/service-accounts",
        table: "service_accounts",
        name_pointer: Some("/display_name"),
        may_be_made_twice: false,
    },
    Collection { path: "/iam/v2/users", table: "users", name_pointer: None, may_be_made_twice: false },
    Collection { path: "/iam/v2/api-keys", table: "api_keys", name_pointer: None, may_be_made_twice: true },
    Collection { path: "/iam/v2/role-bindings", table: "role_bindings", name_pointer: None, may_be_made_twice: false },
    Collection {
        path: "/cmk/v2/clusters",
        table: "logical_clusters",
        name_pointer: Some("/spec/display_name"),
        may_be_made_twice: false,
    },
    // Whoever got the first is told that its principals have a quota already.
    Collection {
        path: "/kafka-quotas/v1/client-quotas",
        table: "client_quotas",
        name_pointer: Some("/spec/display_name"),
        may_be_made_twice: true,
    },
];

/// What a POST that may be a repetition brings along.
pub struct Idempotency {
    app: Arc<App>,
    key: Option<String>,
    path: String,
    call: Option<Arc<Call>>,
    seed: OnceLock<String>,
}

impl FromRequestParts<Arc<App>> for Idempotency {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let without_key = Self {
            app: Arc::clone(app),
            key: None,
            path: parts.uri.path().to_owned(),
            call: parts.extensions.get::<Arc<Call>>().cloned(),
            seed: OnceLock::new(),
        };
        let Some(value) = parts.headers.get(HEADER) else { return Ok(without_key) };
        let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= MAX_KEY_CHARS);
        let Some(key) = key else {
            return Err(ApiError::bad_request("Idempotency-Key must have 1 to 255 printable characters"));
        };
        Ok(Self { key: Some(key.to_owned()), ..without_key })
    }
}

impl Idempotency {
    /// The id that the first request made, if this one repeats it.
    pub async fn find(
        &self,
        transaction: &mut Transaction,
        caller: &Caller,
        body: &[u8],
    ) -> Result<Option<String>, ApiError> {
        let Some(key) = &self.key else { return self.find_lost(transaction, caller, body).await };
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
        let Some(key) = &self.key else { return self.remember_answer(transaction, caller, body, created_id).await };
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
        let (purpose, source) = match &self.key {
            Some(key) => ("api-key secret", key.as_str()),
            None => ("api-key secret of a seed", self.seed()?),
        };
        let mut bytes = [0; SECRET_RANDOM_BYTES];
        for (chunk, part) in bytes.chunks_mut(32).zip(["first", "second"]) {
            let derived = app.secrets.derive(&[purpose, id.as_str(), source, part]);
            chunk.copy_from_slice(&derived[..chunk.len()]);
        }
        Ok(bytes)
    }

    /// An earlier identical request whose answer was lost, or whose object can be there once only.
    async fn find_lost(
        &self,
        transaction: &mut Transaction,
        caller: &Caller,
        body: &[u8],
    ) -> Result<Option<String>, ApiError> {
        let Some(collection) = COLLECTIONS.iter().find(|collection| collection.path == self.path) else {
            return Ok(None);
        };
        let parsed = collection.name_pointer.and_then(|_| serde_json::from_slice::<Value>(body).ok());
        let name = collection.name_pointer.and_then(|pointer| parsed.as_ref()?.pointer(pointer)?.as_str());
        let objects = Objects { table: collection.table, display_name: name };
        let (principal, hash) = (caller.principal().to_string(), self.secret_hash(caller.principal(), body));
        recent_posts::lock(transaction, &hash).await?;
        let deadline = Instant::now() + MAX_WAIT;
        let mut settled = self.app.answers_settled.subscribe();
        loop {
            settled.mark_unchanged();
            let posts = recent_posts::find(transaction, &caller.scope, &principal, &hash, objects).await?;
            let earlier: Vec<Earlier> = posts.iter().map(|post| self.look_at(post)).collect();
            let other_replicas_exist = self.app.database.shared_pool().is_some();
            match judge(&earlier, collection.may_be_made_twice, other_replicas_exist, self.app.clock.now()) {
                Verdict::New => return Ok(None),
                Verdict::Repeats(place) => {
                    let Some(post) = posts.into_iter().nth(place) else { return Ok(None) };
                    let _ = self.seed.set(post.seed);
                    if let Some(call) = &self.call {
                        call.set_post(post.id);
                    }
                    return Ok(Some(post.created_id));
                }
                Verdict::Wait if Instant::now() >= deadline => return Ok(None),
                Verdict::Wait => {
                    // Either way it is looked again.
                    let _ = timeout(LOOK_INTERVAL, settled.changed()).await;
                }
            }
        }
    }

    fn look_at(&self, post: &RecentPost) -> Earlier {
        let is_lost = post.state == AnswerState::Open && self.app.answers.is_lost(&post.id);
        Earlier {
            state: if is_lost { AnswerState::Lost } else { post.state },
            is_of_this_replica: post.replica_id == self.app.replica_id,
            at: Timestamp(post.created_at),
        }
    }

    /// Remembers what this request makes until its answer has arrived.
    async fn remember_answer(
        &self,
        transaction: &mut Transaction,
        caller: &Caller,
        body: &[u8],
        created_id: &str,
    ) -> Result<(), ApiError> {
        let Some(call) = &self.call else { return Ok(()) };
        if !COLLECTIONS.iter().any(|collection| collection.path == self.path) {
            return Ok(());
        }
        call.set_post(call.request_id.clone());
        let post = RecentPost {
            id: call.request_id.clone(),
            created_id: created_id.to_owned(),
            seed: self.seed()?.to_owned(),
            replica_id: self.app.replica_id.clone(),
            state: if call.client_is_gone() { AnswerState::Lost } else { AnswerState::Open },
            created_at: self.app.clock.now().0,
        };
        let (principal, hash) = (caller.principal().to_string(), self.secret_hash(caller.principal(), body));
        recent_posts::insert(transaction, &caller.scope, &principal, &hash, &post).await?;
        Ok(())
    }

    /// What a secret is derived from: random, or that of the request that is repeated.
    fn seed(&self) -> Result<&str, ApiError> {
        if self.seed.get().is_none() {
            let _ = self.seed.set(URL_SAFE_NO_PAD.encode(random::bytes::<32>()?));
        }
        self.seed.get().map(String::as_str).ok_or_else(ApiError::internal)
    }

    /// The hash of a request that only this installation can compute: bodies may have secrets.
    fn secret_hash(&self, principal: &Principal, body: &[u8]) -> String {
        let request = URL_SAFE_NO_PAD.encode(self.request_hash(body));
        let hash = self.app.secrets.derive(&["recent post", &principal.to_string(), &request]);
        URL_SAFE_NO_PAD.encode(hash)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// POSTs that make nothing that could be an orphan: a session ends by itself, and there is a bound to them.
    const MAKE_NOTHING: &[&str] = &["/iam/v2/sessions"];

    #[test]
    fn every_post_that_makes_an_object_is_recognized_when_it_is_repeated() {
        let document: Value = serde_json::from_str(&crate::openapi_document()).expect("JSON");
        for (path, item) in document["paths"].as_object().expect("paths") {
            let is_known = COLLECTIONS.iter().any(|collection| collection.path == path);
            let is_exempt = MAKE_NOTHING.contains(&path.as_str()) || path.starts_with("/kafka/");
            assert!(item.get("post").is_none() || is_known || is_exempt, "POST {path} has no row in COLLECTIONS");
        }
    }
}
