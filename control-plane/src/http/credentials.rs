//! The credentials of a request: checked, charged and noted, in this order.

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::call::Call;
use super::rate_limit::charge_address;
use crate::app::App;
use crate::authentication::{self, Authenticated, AuthenticationError};

/// Says who calls. Whoever fails pays with the bucket of the address, whoever succeeds with that of the credential.
pub async fn authenticate(app: &App, parts: &Parts) -> Result<Authenticated, AuthenticationError> {
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let outcome = authentication::authenticate(app, authorization).await;
    let Some(call) = parts.extensions.get::<Arc<Call>>() else { return outcome };
    let charge = match &outcome {
        Ok(authenticated) => {
            call.set_authenticated(authenticated.clone());
            let charge = app.rate_limits.charge_credential(&authenticated.credential_id, app.clock.now());
            call.set_charge(charge);
            charge
        }
        // An anonymous request was charged on its way in.
        Err(AuthenticationError::Missing) if call.charge().is_some() => return outcome,
        Err(AuthenticationError::Missing | AuthenticationError::Invalid | AuthenticationError::SessionOver) => {
            charge_address(app, call)
        }
        Err(_) => return outcome,
    };
    match charge.allowed {
        true => outcome,
        false => Err(AuthenticationError::TooManyRequests(charge)),
    }
}
