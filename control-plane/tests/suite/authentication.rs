//! Who is let in, and how others are refused.

use serde_json::json;

use crate::fixture::document::{Operation, operations};
use crate::fixture::{Answer, Engine, Installation};

/// Operations that need no credentials.
fn is_public(operation: &Operation) -> bool {
    ["get /health", "post /iam/v2/sessions", "get /.well-known/jwks.json"].contains(&operation.name().as_str())
}

/// Fails unless an answer is the refusal of wrong credentials.
#[track_caller]
fn expect_refusal(answer: &Answer) {
    answer.expect_error(401);
    assert!(answer.text.contains("invalid API key"), "{}", answer.text);
    let challenge = answer.headers["www-authenticate"].to_str().expect("text");
    assert!(challenge.starts_with("Basic ") && challenge.contains(r#"error="invalid_key""#), "{challenge}");
}

on_both_engines! {
    async fn every_operation_refuses_callers_without_a_cloud_key(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let account = rest.create_service_account("app").await;
        let (kafka_key, kafka_secret) = rest.create_kafka_key(&account, &cluster).await;
        let own = installation.organization.cloud_api_key.to_string();
        let secret = installation.organization.cloud_api_secret.expose();
        let callers = [
            ("nobody", rest.anonymous()),
            ("a wrong secret", rest.with_key(&own, "mlst-wrong")),
            ("an empty secret", rest.with_key(&own, "")),
            ("an unknown key", rest.with_key("AAAAAAAAAAAAAAAA", secret)),
            ("what cannot be a key", rest.with_key("' OR 1=1 --", secret)),
            ("a Kafka key", rest.with_key(&kafka_key, &kafka_secret)),
            ("the key of another", rest.with_key(&own, &kafka_secret)),
        ];
        let protected: Vec<_> = operations().into_iter().filter(|operation| !is_public(operation)).collect();
        assert!(protected.len() >= 50, "only {} operations", protected.len());
        for operation in protected {
            let (method, path) = (operation.method.to_uppercase(), operation.path_with(|_| environment.clone()));
            for (who, caller) in &callers {
                if operation.is_forwarded() && *who == "a Kafka key" && !path.contains(&environment) {
                    continue;
                }
                let answer = caller.send(&method, &path, &[], Some(b"{".to_vec())).await;
                assert_eq!(answer.status, 401, "{method} {path} by {who}: {}", answer.text);
                match operation.is_forwarded() {
                    true => assert_eq!(answer.json()["error_code"], json!(40101), "{method} {path}: {}", answer.text),
                    false => expect_refusal(&answer),
                }
            }
        }
    }

    async fn odd_authorization_headers_are_refused(engine: Engine) {
        let installation = Installation::start(engine).await;
        let anonymous = installation.rest.anonymous();
        let long = format!("Basic {}", "A".repeat(4_000));
        for header in ["", "Basic", "Basic !!!", "Bearer abc", "Basic OjpA", "Basic AAAA", "Negotiate x", &long] {
            let answer = anonymous.send("GET", "/org/v2/environments", &[("authorization", header)], None).await;
            expect_refusal(&answer);
        }
    }
}
