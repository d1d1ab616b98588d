//! Who calls: turns an API key or the token of a session into an organization, a principal and what it opens.
//!
//! Promises: this module alone makes an `OrgScope`, and only after the secret was checked in constant time. A wrong
//! key id, a wrong secret and a deleted key are refused in the same way. Never logs or keeps a secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_api::ids::{ApiKeyId, OrganizationId, Principal};

use crate::app::App;
use crate::domain::api_key::KeyScope;
use crate::domain::authorization::Grants;
use crate::domain::token_bucket::Charge;
use crate::session_tokens;
use crate::store::error::StoreError;
use crate::store::{api_keys, role_bindings, sessions};

/// Characters of an Authorization header at most: key id and secret need 116.
const MAX_AUTHORIZATION_CHARS: usize = 1_024;

/// Proof that a caller belongs to an organization. Store functions on tenant data take it.
#[derive(Clone)]
pub struct OrgScope {
    organization_id: OrganizationId,
}

impl OrgScope {
    /// The organization.
    pub fn organization_id(&self) -> OrganizationId {
        self.organization_id
    }
}

/// An authenticated caller.
#[derive(Clone)]
pub struct Authenticated {
    /// The organization that the caller belongs to.
    pub scope: OrgScope,
    /// Owner of the key, and what it may do in the control plane: nothing with a Kafka key.
    pub grants: Grants,
    /// Id of what was presented. Not secret.
    pub credential_id: String,
    /// What the key opens.
    pub key_scope: KeyScope,
}

/// Why a caller was refused.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// No or unreadable credentials.
    #[error("no credentials: send an API key and its secret with HTTP Basic authentication, or the token of a session")]
    Missing,
    /// Credentials of no key.
    #[error("invalid API key: the key does not exist or the secret is wrong")]
    Invalid,
    /// A token that is not one of a session which goes on. Says "invalid API key" for clients that look for it.
    #[error("invalid API key or session: the token is not valid, or the session is over: log in again")]
    SessionOver,
    /// Too many requests with these credentials, or from an address without valid ones.
    #[error("too many requests: try again shortly")]
    TooManyRequests(Charge),
    /// The database failed.
    #[error("credentials could not be checked")]
    Store(#[from] StoreError),
}

/// Checks the value of an Authorization header: an API key, or the token of a session.
pub async fn authenticate(app: &App, authorization: Option<&str>) -> Result<Authenticated, AuthenticationError> {
    let header = authorization.ok_or(AuthenticationError::Missing)?;
    if header.len() > MAX_AUTHORIZATION_CHARS {
        return Err(AuthenticationError::Invalid);
    }
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => check_session(app, token.trim()).await,
        _ => check_api_key(app, header).await,
    }
}

async fn check_api_key(app: &App, header: &str) -> Result<Authenticated, AuthenticationError> {
    let (id, secret) = parse_basic(header)?;
    let Ok(id) = id.parse::<ApiKeyId>() else { return Err(AuthenticationError::Invalid) };
    let mut transaction = app.database.read().await?;
    let Some(credential) = api_keys::find_credential(&mut transaction, &id).await? else {
        return Err(AuthenticationError::Invalid);
    };
    if !app.secrets.verify_api_key_secret(&id, &secret, &credential.secret_hmac) {
        return Err(AuthenticationError::Invalid);
    }
    let (organization_id, owner) = (credential.organization_id, credential.owner);
    let roles = match credential.scope {
        KeyScope::Cloud => role_bindings::of_principal(&mut transaction, organization_id, &owner).await?,
        KeyScope::Kafka(_) => Vec::new(),
    };
    Ok(Authenticated {
        scope: OrgScope { organization_id },
        grants: Grants { principal: owner, roles },
        credential_id: id.to_string(),
        key_scope: credential.scope,
    })
}

async fn check_session(app: &App, token: &str) -> Result<Authenticated, AuthenticationError> {
    let now = app.clock.now();
    let claims = session_tokens::verify(&app.secrets, &app.public_url, token, now);
    let claims = claims.ok_or(AuthenticationError::SessionOver)?;
    let mut transaction = app.database.read().await?;
    let found = sessions::find(&mut transaction, &claims.jti, now).await?;
    let found = found.filter(|(_, user)| user.as_str() == claims.sub);
    let (organization_id, user) = found.ok_or(AuthenticationError::SessionOver)?;
    let principal = Principal::User(user);
    let roles = role_bindings::of_principal(&mut transaction, organization_id, &principal).await?;
    Ok(Authenticated {
        scope: OrgScope { organization_id },
        grants: Grants { principal, roles },
        credential_id: claims.jti,
        key_scope: KeyScope::Cloud,
    })
}

fn parse_basic(header: &str) -> Result<(String, String), AuthenticationError> {
    let (scheme, encoded) = header.split_once(' ').ok_or(AuthenticationError::Missing)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(AuthenticationError::Missing);
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| AuthenticationError::Invalid)?;
    let text = String::from_utf8(decoded).map_err(|_| AuthenticationError::Invalid)?;
    let (id, secret) = text.split_once(':').ok_or(AuthenticationError::Invalid)?;
    Ok((id.to_owned(), secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_and_hostile_headers_are_refused() {
        let header = format!("basic {}", STANDARD.encode("KEY:a:b"));
        let parsed = parse_basic(&header).expect("well formed");
        assert_eq!(parsed, ("KEY".to_owned(), "a:b".to_owned()));
        for header in ["", "Basic", "Basic !!!", "Bearer abc", "Basic YWJj"] {
            assert!(parse_basic(header).is_err(), "{header:?}");
        }
    }
}
