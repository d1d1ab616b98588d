//! Tokens of sessions: JWTs signed with Ed25519.
//!
//! The signing key of each day is derived from the installation's root secret, so that all replicas have the same one
//! without storing it, and it changes every day. The keys of the day before and after are valid too, for sessions that
//! began just before midnight and for clocks that differ. Promises: only such a token passes, for this issuer and
//! audience, and only in its time. Never logs a token.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use crate::domain::timestamp::Timestamp;
use crate::secrets::InstallationSecrets;

/// Seconds that a session lasts.
pub const SESSION_SECONDS: i64 = 60 * 60;
/// Seconds after which another key signs.
const PERIOD_SECONDS: i64 = 24 * 60 * 60;
/// Seconds by which the clock of the replica that signed may be ahead.
const CLOCK_SKEW_SECONDS: i64 = 5;
/// Whom the tokens are for.
const AUDIENCE: &str = "millstream-control-plane";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The service that made it.
    pub iss: String,
    /// The service that takes it.
    pub aud: String,
    /// Id of the user.
    pub sub: String,
    /// Id of the session.
    pub jti: String,
    /// When it was made, in seconds.
    pub iat: i64,
    /// When it ends, in seconds.
    pub exp: i64,
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the token of a session cannot be signed")]
pub struct SignError;

/// A public key, as in a JSON Web Key Set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PublicKey {
    /// Always `OKP`.
    pub kty: &'static str,
    /// Always `Ed25519`.
    pub crv: &'static str,
    /// Always `EdDSA`.
    pub alg: &'static str,
    /// Always `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// Names the key in the header of a token.
    pub kid: String,
    /// The key.
    pub x: String,
}

/// Makes the token of a session.
pub fn sign(
    secrets: &InstallationSecrets,
    issuer: &str,
    (user, session): (&str, &str),
    now: Timestamp,
) -> Result<String, SignError> {
    let iat = now.as_millis() / 1_000;
    let period = iat.div_euclid(PERIOD_SECONDS);
    let claims = Claims {
        iss: issuer.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: user.to_owned(),
        jti: session.to_owned(),
        iat,
        exp: iat + SESSION_SECONDS,
    };
    let key = key_pair(secrets, period)?.to_pkcs8v1().map_err(|_| SignError)?;
    let header = Header { kid: Some(key_id(period)), ..Header::new(Algorithm::EdDSA) };
    encode(&header, &claims, &EncodingKey::from_ed_der(key.as_ref())).map_err(|_| SignError)
}

/// What a token says, if it is one of ours and its time has come and not passed.
pub fn verify(secrets: &InstallationSecrets, issuer: &str, token: &str, now: Timestamp) -> Option<Claims> {
    let now = now.as_millis() / 1_000;
    let header = decode_header(token).ok()?;
    let today = now.div_euclid(PERIOD_SECONDS);
    let period = (today - 1..=today + 1).find(|period| header.kid.as_deref() == Some(&key_id(*period)))?;
    let public = URL_SAFE_NO_PAD.encode(key_pair(secrets, period).ok()?.public_key().as_ref());
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    // The times are compared below, with the clock that everything else here goes by.
    validation.validate_exp = false;
    let claims = decode::<Claims>(token, &DecodingKey::from_ed_components(&public).ok()?, &validation).ok()?.claims;
    let is_in_time = claims.iat <= now + CLOCK_SKEW_SECONDS && now < claims.exp;
    let is_short = claims.exp - claims.iat <= SESSION_SECONDS;
    (is_in_time && is_short).then_some(claims)
}

/// The keys that are valid now.
pub fn public_keys(secrets: &InstallationSecrets, now: Timestamp) -> Result<Vec<PublicKey>, SignError> {
    let today = (now.as_millis() / 1_000).div_euclid(PERIOD_SECONDS);
    let keys = (today - 1..=today + 1).map(|period| {
        let x = URL_SAFE_NO_PAD.encode(key_pair(secrets, period)?.public_key().as_ref());
        Ok(PublicKey { kty: "OKP", crv: "Ed25519", alg: "EdDSA", usage: "sig", kid: key_id(period), x })
    });
    keys.collect()
}

fn key_id(period: i64) -> String {
    format!("session-{period}")
}

fn key_pair(secrets: &InstallationSecrets, period: i64) -> Result<Ed25519KeyPair, SignError> {
    let seed = secrets.derive(&["session signing key", &period.to_string()]);
    Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| SignError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SecretsSource;

    const ISSUER: &str = "https://millstream.test";
    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn secrets(byte: u8) -> InstallationSecrets {
        InstallationSecrets::load(&SecretsSource::Bytes([byte; 32])).expect("bytes")
    }

    fn later(seconds: i64) -> Timestamp {
        Timestamp(NOW.0 + seconds * 1_000_000)
    }

    /// A token with anything in it, signed like a real one.
    fn forged(key_of: u8, algorithm: Algorithm, change: impl Fn(&mut Claims)) -> String {
        let iat = NOW.as_millis() / 1_000;
        let mut claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: "u-1".into(),
            jti: "s".into(),
            iat,
            exp: iat + SESSION_SECONDS,
        };
        change(&mut claims);
        let period = iat.div_euclid(PERIOD_SECONDS);
        let pair = key_pair(&secrets(key_of), period).expect("a key");
        let header = Header { kid: Some(key_id(period)), ..Header::new(algorithm) };
        let key = match algorithm {
            // The public key as a shared secret: what an attacker can know.
            Algorithm::HS256 => EncodingKey::from_secret(pair.public_key().as_ref()),
            _ => EncodingKey::from_ed_der(pair.to_pkcs8v1().expect("a key").as_ref()),
        };
        encode(&header, &claims, &key).expect("signed")
    }

    #[test]
    fn a_token_passes_until_its_session_ends_on_any_replica() {
        let token = sign(&secrets(1), ISSUER, ("u-1", "s"), NOW).expect("signed");
        let claims = verify(&secrets(1), ISSUER, &token, later(SESSION_SECONDS - 1)).expect("it passes");
        assert_eq!((claims.sub.as_str(), claims.jti.as_str()), ("u-1", "s"));
        assert_eq!(verify(&secrets(1), ISSUER, &token, later(SESSION_SECONDS)), None);
    }

    #[test]
    fn a_token_passes_over_midnight_and_keys_change() {
        let before = Timestamp(PERIOD_SECONDS * 20_000 * 1_000_000 - 1);
        let token = sign(&secrets(1), ISSUER, ("u-1", "s"), before).expect("signed");
        assert!(verify(&secrets(1), ISSUER, &token, Timestamp(before.0 + 1_000_000)).is_some());
        let today = public_keys(&secrets(1), before).expect("keys");
        let tomorrow = public_keys(&secrets(1), Timestamp(before.0 + 1_000_000)).expect("keys");
        assert_eq!(today[1..], tomorrow[..2]);
        assert_ne!(today[1].x, today[2].x);
    }

    #[test]
    fn forged_tokens_are_refused() {
        let passes = |token: &str| verify(&secrets(1), ISSUER, token, NOW).is_some();
        assert!(passes(&forged(1, Algorithm::EdDSA, |_| {})));
        assert!(!passes(&forged(2, Algorithm::EdDSA, |_| {})), "another installation");
        assert!(!passes(&forged(1, Algorithm::HS256, |_| {})), "the public key as a secret");
        assert!(!passes(&forged(1, Algorithm::EdDSA, |claims| claims.aud = "other".into())), "wrong audience");
        assert!(!passes(&forged(1, Algorithm::EdDSA, |claims| claims.iss = "other".into())), "wrong issuer");
        assert!(!passes(&forged(1, Algorithm::EdDSA, |claims| claims.exp = claims.iat - 1)), "expired");
        assert!(!passes(&forged(1, Algorithm::EdDSA, |claims| claims.exp += 1)), "longer than a session");
        let from_the_future = forged(1, Algorithm::EdDSA, |claims| {
            claims.iat += 60;
            claims.exp += 60;
        });
        assert!(!passes(&from_the_future), "from the future");
    }

    #[test]
    fn unsigned_and_changed_tokens_are_refused() {
        let token = sign(&secrets(1), ISSUER, ("u-1", "s"), NOW).expect("signed");
        let parts: Vec<&str> = token.split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT","kid":"session-19675"}"#);
        let claims = URL_SAFE_NO_PAD.decode(parts[1]).expect("base64");
        let other = String::from_utf8(claims).expect("text").replace("u-1", "u-2");
        let other = URL_SAFE_NO_PAD.encode(other);
        for changed in [
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{other}.{}", parts[0], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            String::new(),
            "...".into(),
        ] {
            assert_eq!(verify(&secrets(1), ISSUER, &changed, NOW), None, "{changed}");
        }
    }
}
