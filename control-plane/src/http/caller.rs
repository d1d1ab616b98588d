//! The caller of a control-plane path: the owner of a Cloud API key.
//!
//! A Cloud key acts with every right in its own organization and none in another. A Kafka key opens one cluster and
//! nothing here, so it is refused like a key that does not exist.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use millstream_api::ids::Principal;

use super::credentials::authenticate;
use super::error::ApiError;
use crate::app::App;
use crate::authentication::{AuthenticationError, OrgScope};
use crate::domain::api_key::KeyScope;

/// An authenticated caller of the control plane.
pub struct Caller {
    /// The organization.
    pub scope: OrgScope,
    /// Owner of the key.
    pub principal: Principal,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let authenticated = authenticate(app, parts).await?;
        match authenticated.key_scope {
            KeyScope::Cloud => Ok(Self { scope: authenticated.scope, principal: authenticated.principal }),
            KeyScope::Kafka(_) => Err(AuthenticationError::Invalid.into()),
        }
    }
}
