//! `GET /.well-known/jwks.json`: the public keys with which others can check the tokens of sessions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::error::ApiError;
use crate::session_tokens::{PublicKey, public_keys};

/// A JSON Web Key Set.
#[derive(Serialize, ToSchema)]
pub struct KeySet {
    /// The keys of yesterday, today and tomorrow.
    pub keys: Vec<PublicKey>,
}

/// The public keys of session tokens.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "getJwks", tag = "Sessions", security(()),
    responses((status = 200, body = KeySet)))]
pub async fn get(State(app): State<Arc<App>>) -> Result<Json<KeySet>, ApiError> {
    Ok(Json(KeySet { keys: public_keys(&app.secrets, app.clock.now())? }))
}
