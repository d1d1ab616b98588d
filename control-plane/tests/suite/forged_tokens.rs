//! Tokens of sessions that nobody was given: each is refused like a session that is over, by every kind of path.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::fixture::rest::PASSWORD;
use crate::fixture::{Engine, Installation};

const EMAIL: &str = "ann@example.com";
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// The key that signs tokens today, computed as the service does it.
fn signing_key(installation_secret: &[u8], day: i64) -> Ed25519KeyPair {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, installation_secret));
    context.update(b"millstream v1");
    for label in ["session signing key", &day.to_string()] {
        context.update(&(label.len() as u64).to_be_bytes());
        context.update(label.as_bytes());
    }
    Ed25519KeyPair::from_seed_unchecked(context.sign().as_ref()).expect("a key")
}

fn sign(header: &Header, claims: &Value, key: &Ed25519KeyPair) -> String {
    let key = EncodingKey::from_ed_der(key.to_pkcs8v1().expect("a key").as_ref());
    encode(header, claims, &key).expect("signed")
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

on_both_engines! {
    async fn no_forged_token_opens_a_session(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        rest.create_user(EMAIL, PASSWORD).await;
        let token = rest.log_in(EMAIL, PASSWORD).await.expect(201).text_at("/token");
        let (header, claims) = (part(&token, 0), part(&token, 1));
        let issued_at = claims["iat"].as_i64().expect("a time");
        let secret = std::fs::read(installation.directory.path().join("secrets/installation-secret")).expect("a secret");
        let today = signing_key(&secret, issued_at.div_euclid(SECONDS_PER_DAY));
        let kid = header["kid"].as_str().expect("a key id").to_owned();
        let own_header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let with = |changes: Value| {
            let mut changed = claims.clone();
            changed.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
            changed
        };
        // What is signed like this and says the same is a token: what is refused below is refused for what differs.
        let same = sign(&own_header, &claims, &today);
        rest.with_token(&same).get("/org/v2/organizations").await.expect(200);

        let rest_of = |number: usize| token.split('.').nth(number).expect("three parts").to_owned();
        let none = |algorithm: &str| encoded(&json!({"alg": algorithm, "typ": "JWT", "kid": kid}));
        let public = EncodingKey::from_secret(today.public_key().as_ref());
        let public_as_text = EncodingKey::from_secret(URL_SAFE_NO_PAD.encode(today.public_key()).as_bytes());
        let symmetric = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::HS256) };
        let unknown_key = Header { kid: Some("session-1".into()), ..Header::new(Algorithm::EdDSA) };
        let without_key_id = Header::new(Algorithm::EdDSA);
        let other_installation = signing_key(&[7; 32], issued_at.div_euclid(SECONDS_PER_DAY));
        let other_user = encoded(&with(json!({"sub": installation.organization.user_id.to_string()})));
        let forged = [
            ("alg none without a signature", format!("{}.{}.", none("none"), rest_of(1))),
            ("alg None with the signature", format!("{}.{}.{}", none("None"), rest_of(1), rest_of(2))),
            ("no signature", format!("{}.{}.", rest_of(0), rest_of(1))),
            ("the claims of another user", format!("{}.{other_user}.{}", rest_of(0), rest_of(2))),
            ("the public key as a shared secret", encode(&symmetric, &claims, &public).expect("signed")),
            ("the public key's text as a shared secret", encode(&symmetric, &claims, &public_as_text).expect("signed")),
            ("another installation", sign(&own_header, &claims, &other_installation)),
            ("an unknown key", sign(&unknown_key, &claims, &today)),
            ("no key", sign(&without_key_id, &claims, &today)),
            ("another audience", sign(&own_header, &with(json!({"aud": "another-service"})), &today)),
            ("another issuer", sign(&own_header, &with(json!({"iss": "https://elsewhere.example"})), &today)),
            ("expired", sign(&own_header, &with(json!({"iat": issued_at - 3_600, "exp": issued_at - 1})), &today)),
            ("from the future", sign(&own_header, &with(json!({"iat": issued_at + 600, "exp": issued_at + 4_000})), &today)),
            ("longer than a session", sign(&own_header, &with(json!({"exp": issued_at + 100_000})), &today)),
            ("a session that is not there", sign(&own_header, &with(json!({"jti": "5f0d6d1c-0000-4000-8000-000000000001"})), &today)),
            ("somebody else's session", sign(&own_header, &with(json!({"sub": installation.organization.user_id.to_string()})), &today)),
            ("an end that is no number", sign(&own_header, &with(json!({"exp": "never"})), &today)),
        ];
        for (what, token) in &forged {
            let caller = rest.with_token(token);
            let refused = caller.get("/org/v2/organizations").await;
            assert_eq!(refused.status, 401, "{what}: {}", refused.text);
            assert!(!refused.text.contains(token.as_str()), "{what} is shown");
            caller.post("/org/v2/environments", json!({"display_name": "forged"})).await.expect_error(401);
            assert_eq!(caller.get("/kafka/v3/clusters/lkc-n0body00/topics").await.status, 401, "{what}");
        }
        let environments = rest.get("/org/v2/environments").await.expect(200);
        assert_eq!(environments.json()["data"], json!([]), "something was made");
    }
}
