//! Who is on the other side of a connection: the SASL exchange, and the tenant it fixes.
//!
//! Promises: until a key was verified only ApiVersions, SaslHandshake and SaslAuthenticate are answered; the
//! tenant never changes on a connection; a wrong key and an unknown key look alike. Never logs a secret.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use millstream_protocol::error_code::ErrorCode;

use crate::authorizer::grants::Grants;
use crate::authorizer::{LiveGrants, Who};
use crate::broker::{AdvertisedListener, Broker};
use crate::connections::Admission;
use crate::metrics::TenantMetrics;
use crate::quotas::connection::{ConnectionQuota, NotAdmitted};
use crate::quotas::tenant::ConnectionPlace;
use crate::tenants::Credential;

/// The only SASL mechanism: API keys.
pub(crate) const MECHANISM: &str = "PLAIN";
/// The largest SASL PLAIN token: two names and a secret need far less.
const MAX_TOKEN_BYTES: usize = 4 * 1024;

/// The other end of a connection.
pub(crate) struct Client {
    /// Its address.
    pub(crate) peer: SocketAddr,
    /// The listener that it came in by.
    pub(crate) listener: Arc<AdvertisedListener>,
}

/// The state of one connection's authentication.
pub(crate) struct Session {
    broker: Arc<Broker>,
    client: Client,
    admission: Admission,
    state: State,
}

enum State {
    /// Nothing was agreed yet.
    New,
    /// The client chose PLAIN with SaslHandshake v1 or later and will send SaslAuthenticate.
    Handshaken,
    /// The client chose PLAIN with SaslHandshake v0: its next frame is a bare token.
    HandshakenRaw,
    /// A key was verified.
    Authenticated(Authenticated),
}

/// What an authenticated connection knows.
pub(crate) struct Authenticated {
    /// The key, its owner and its tenant.
    pub(crate) credential: Arc<Credential>,
    /// The listener that it came in by.
    pub(crate) listener: Arc<AdvertisedListener>,
    /// The counters of the tenant.
    pub(crate) metrics: Arc<TenantMetrics>,
    rights: LiveGrants,
    /// What its requests are charged to.
    pub(crate) quota: ConnectionQuota,
    /// Its place among the connections of the tenant.
    place: Arc<ConnectionPlace>,
}

impl Authenticated {
    /// What the principal may do, as of the beginning of the request.
    pub(crate) fn grants(&self) -> &Arc<Grants> {
        self.rights.grants()
    }
}

/// Why a login failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginFailed {
    /// The client is told.
    Refused(LoginRefused),
    /// Too many logins are in front of this one. The connection closes without an answer, which clients take for a
    /// reason to try again later; an answer they would take for a wrong key.
    NotNow,
}

/// A refused login: Kafka's code and a text for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoginRefused {
    pub(crate) code: ErrorCode,
    pub(crate) message: Cow<'static, str>,
}

impl LoginRefused {
    const fn new(code: ErrorCode, message: &'static str) -> Self {
        Self { code, message: Cow::Borrowed(message) }
    }
}

impl From<LoginRefused> for LoginFailed {
    fn from(refused: LoginRefused) -> Self {
        Self::Refused(refused)
    }
}

impl Session {
    pub(crate) fn new(broker: Arc<Broker>, client: Client, admission: Admission) -> Self {
        Self { broker, client, admission, state: State::New }
    }

    pub(crate) fn client_host(&self) -> IpAddr {
        self.client.peer.ip().to_canonical()
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        matches!(self.state, State::Authenticated(_))
    }

    /// The authenticated identity, if there is one, with what it may do now.
    pub(crate) fn authenticated(&mut self) -> Option<&Authenticated> {
        match &mut self.state {
            State::Authenticated(authenticated) => {
                authenticated.rights.refresh(&self.broker.authorizer);
                Some(authenticated)
            }
            _ => None,
        }
    }

    /// What the connection is charged to, once it is authenticated.
    pub(crate) fn quota(&mut self) -> Option<&mut ConnectionQuota> {
        match &mut self.state {
            State::Authenticated(authenticated) => Some(&mut authenticated.quota),
            _ => None,
        }
    }

    /// Its place among the connections of its tenant, once it is authenticated.
    pub(crate) fn place(&self) -> Option<&Arc<ConnectionPlace>> {
        match &self.state {
            State::Authenticated(authenticated) => Some(&authenticated.place),
            _ => None,
        }
    }

    /// Whether the next frame is a bare SASL token instead of a Kafka request.
    pub(crate) fn expects_raw_token(&self) -> bool {
        matches!(self.state, State::HandshakenRaw)
    }

    /// Agrees on a mechanism. On an authenticated connection this begins a re-authentication, which keeps the
    /// identity until the new token was verified.
    pub(crate) fn handshake(&mut self, mechanism: &str, version: i16) -> Result<(), LoginRefused> {
        if mechanism != MECHANISM {
            return Err(LoginRefused::new(ErrorCode::UnsupportedSaslMechanism, "use mechanism PLAIN"));
        }
        if !self.is_authenticated() {
            self.state = if version == 0 { State::HandshakenRaw } else { State::Handshaken };
        }
        Ok(())
    }

    /// Verifies a SASL PLAIN token (RFC 4616): `[authorization id] NUL key id NUL secret`. Answers how long the
    /// connection must wait because of its tenant's connection rate.
    pub(crate) fn authenticate(&mut self, token: &[u8]) -> Result<Duration, LoginFailed> {
        if matches!(self.state, State::New) {
            let message = "SaslAuthenticate needs a SaslHandshake before it";
            return Err(LoginRefused::new(ErrorCode::IllegalSaslState, message).into());
        }
        let (key_id, secret) = parse_plain_token(token).ok_or(REFUSED)?;
        let Some(credential) = self.broker.tenants.authenticate(key_id, secret) else {
            self.broker.metrics.count_failed_authentication();
            return Err(REFUSED.into());
        };
        if let State::Authenticated(current) = &self.state
            && (&current.credential.principal, &current.credential.tenant)
                != (&credential.principal, &credential.tenant)
        {
            let message = "re-authentication must keep the principal and the cluster of the connection";
            return Err(LoginRefused::new(ErrorCode::SaslAuthenticationFailed, message).into());
        }
        self.admission.authenticate(Arc::clone(&credential));
        // The key may have been revoked after it was verified and before the connection was registered under it.
        if !self.broker.tenants.is_current(&credential) {
            return Err(REFUSED.into());
        }
        let (quota, place, wait) = self.take_place(&credential)?;
        let metrics = self.broker.metrics.tenant(&credential.tenant);
        metrics.count_authentication();
        let who = Who {
            tenant: credential.tenant.clone(),
            principal: credential.principal.clone(),
            host: Some(self.client_host()),
        };
        let rights = self.broker.authorizer.follow(who);
        let listener = Arc::clone(&self.client.listener);
        self.state = State::Authenticated(Authenticated { credential, listener, metrics, rights, quota, place });
        Ok(wait)
    }

    /// A place among the tenant's connections; a connection that has one keeps it.
    fn take_place(
        &mut self,
        credential: &Credential,
    ) -> Result<(ConnectionQuota, Arc<ConnectionPlace>, Duration), LoginFailed> {
        let state = std::mem::replace(&mut self.state, State::Handshaken);
        if let State::Authenticated(Authenticated { quota, place, .. }) = state {
            return Ok((quota, place, Duration::ZERO));
        }
        let quota = self.broker.quotas.connection(&credential.tenant, &credential.principal);
        match quota.admit() {
            Ok((place, wait)) => Ok((quota, Arc::new(place), wait)),
            Err(NotAdmitted::TooMany { limit }) => {
                let message = format!("this cluster has as many connections as its type and size allow: {limit}");
                let code = ErrorCode::SaslAuthenticationFailed;
                Err(LoginRefused { code, message: message.into() }.into())
            }
            Err(NotAdmitted::TooFast) => Err(LoginFailed::NotNow),
        }
    }
}

/// The same answer for a key that does not exist and for a wrong secret.
const REFUSED: LoginRefused = LoginRefused::new(
    ErrorCode::SaslAuthenticationFailed,
    "authentication failed: the API key or its secret is not valid for any cluster here",
);

fn parse_plain_token(token: &[u8]) -> Option<(&str, &str)> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let mut fields = std::str::from_utf8(token).ok()?.split('\0');
    let (authorization_id, key_id, secret) = (fields.next()?, fields.next()?, fields.next()?);
    let acts_as_itself = authorization_id.is_empty() || authorization_id == key_id;
    if fields.next().is_some() || key_id.is_empty() || secret.is_empty() || !acts_as_itself {
        return None;
    }
    Some((key_id, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_token_has_exactly_three_fields_and_acts_as_itself() {
        assert_eq!(parse_plain_token(b"\0KEY\0secret"), Some(("KEY", "secret")));
        assert_eq!(parse_plain_token(b"KEY\0KEY\0secret"), Some(("KEY", "secret")));
        for wrong in
            [&b""[..], b"\0KEY", b"\0KEY\0", b"\0\0secret", b"other\0KEY\0secret", b"\0KEY\0secret\0", b"\0KE\xff\0s"]
        {
            assert_eq!(parse_plain_token(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_huge_token_is_refused() {
        let token = [b"\0KEY\0".as_slice(), &vec![b'x'; MAX_TOKEN_BYTES]].concat();
        assert_eq!(parse_plain_token(&token), None);
    }
}
