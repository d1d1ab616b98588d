//! The caller of a control-plane path: the owner of a Cloud API key.
//!
//! A Cloud key acts with the roles of its owner, in its own organization only. A Kafka key opens one cluster and nothing
//! here, so it is refused like a key that does not exist.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use millstream_api::ids::Principal;

use super::credentials::authenticate;
use super::error::ApiError;
use crate::app::App;
use crate::authentication::{AuthenticationError, OrgScope};
use crate::domain::api_key::KeyScope;
use crate::domain::authorization::{Action, Decision, Grants, Target};

/// An authenticated caller of the control plane.
pub struct Caller {
    /// The organization.
    pub scope: OrgScope,
    /// Owner of the key, and its roles.
    pub grants: Grants,
}

impl Caller {
    /// Owner of the key.
    pub fn principal(&self) -> &Principal {
        &self.grants.principal
    }

    /// Fails unless a role of the caller allows it: with 404 if it may not even see the target, else with 403.
    pub fn authorize(&self, action: Action, target: Target<'_>) -> Result<(), ApiError> {
        match self.grants.decide(action, target) {
            Decision::Allowed => Ok(()),
            Decision::Forbidden => Err(ApiError::forbidden()),
            Decision::Hidden => Err(ApiError::not_found()),
        }
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let authenticated = authenticate(app, parts).await?;
        match authenticated.key_scope {
            KeyScope::Cloud => Ok(Self { scope: authenticated.scope, grants: authenticated.grants }),
            KeyScope::Kafka(_) => Err(AuthenticationError::Invalid.into()),
        }
    }
}
