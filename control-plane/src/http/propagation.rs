//! Whether live brokers know an object, and `?wait=ready`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use millstream_api::rest::propagation::{Propagation, PropagationState, PropagationStatus};

use super::error::ApiError;
use super::parameters::Parameters;
use crate::app::{Announced, App};
use crate::fleet::wait;

/// Whether the caller wants the answer only when every live broker knows the object.
pub struct WaitForReady(bool);

impl<S: Send + Sync> FromRequestParts<S> for WaitForReady {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let parameters = Parameters::from_request_parts(parts, state).await?;
        match parameters.first("wait") {
            None => Ok(Self(false)),
            Some("ready") => Ok(Self(true)),
            Some(_) => Err(ApiError::bad_parameter("wait", "wait must be ready, or left out")),
        }
    }
}

impl WaitForReady {
    /// The status to show of an object, after the wait that the caller asked for. No transaction may be open.
    pub async fn status(&self, app: &App, announced: &Announced) -> PropagationStatus {
        if self.0 {
            wait::until_ready(app, announced).await;
        }
        status(app, announced).await
    }
}

/// How far an object is that was announced in these revisions.
pub async fn status(app: &App, announced: &Announced) -> PropagationStatus {
    let pending_brokers = wait::pending(app, announced).await;
    let state = if pending_brokers == 0 { PropagationState::Ready } else { PropagationState::Pending };
    PropagationStatus { propagation: Propagation { state, pending_brokers } }
}
