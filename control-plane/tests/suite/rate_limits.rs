//! How many requests a caller may send.

use millstream_control_plane::{Rate, RequestRates};
use serde_json::json;

use crate::fixture::rest::cloud_key_body;
use crate::fixture::{Answer, Engine, Installation};

/// So slow that nothing comes back while a test runs.
const BURST: u32 = 20;
const SLOW: Rate = Rate { per_second: 1, burst: BURST };

fn number(answer: &Answer, header: &str) -> u32 {
    let value = answer.headers.get(header).unwrap_or_else(|| panic!("no {header}: {answer:?}"));
    value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{header} is no number: {answer:?}"))
}

async fn installation_with_rates(engine: Engine, request_rates: RequestRates) -> Installation {
    let mut installation = Installation::start(engine).await;
    installation.restart_with_rates(request_rates).await;
    installation
}

on_both_engines! {
    async fn a_credential_that_sends_too_much_is_told_when_to_come_back(engine: Engine) {
        let rates = RequestRates { per_credential: SLOW, ..RequestRates::default() };
        let installation = installation_with_rates(engine, rates).await;
        let rest = &installation.rest;
        let account = rest.create_service_account("app").await;
        let key = rest.post("/iam/v2/api-keys", cloud_key_body(&account)).await.expect(202);
        let other = rest.with_key(&key.text_at("/id"), &key.text_at("/spec/secret"));

        let first = rest.get("/org/v2/environments").await.expect(200);
        assert_eq!(number(&first, "x-ratelimit-limit"), BURST);
        assert!(number(&first, "x-ratelimit-remaining") < BURST);
        assert!(number(&first, "x-ratelimit-reset") <= BURST);
        let mut refused = rest.get("/org/v2/environments").await;
        // A second that passes meanwhile gives a token back, so the number of requests is not counted exactly.
        for _ in 0..10 * BURST {
            if refused.status == 429 {
                break;
            }
            refused = rest.get("/org/v2/environments").await;
        }
        refused.expect_error(429);
        assert_eq!(number(&refused, "x-ratelimit-remaining"), 0);
        assert!(number(&refused, "retry-after") >= 1);
        let kafka = rest.get("/kafka/v3/clusters").await;
        if kafka.status == 429 {
            assert_eq!(kafka.json()["error_code"], json!(429), "{}", kafka.text);
        }
        let unaffected = other.get("/org/v2/environments").await;
        assert_eq!(number(&unaffected, "x-ratelimit-remaining"), BURST - 1);
    }

    async fn wrong_credentials_empty_only_the_bucket_of_their_address(engine: Engine) {
        let rates = RequestRates { per_address: SLOW, ..RequestRates::default() };
        let installation = installation_with_rates(engine, rates).await;
        let rest = &installation.rest;
        let wrong = rest.with_key(installation.organization.cloud_api_key.as_str(), "wrong");
        let mut statuses = Vec::new();
        for _ in 0..10 * BURST {
            let answer = wrong.get("/org/v2/environments").await;
            assert_eq!(number(&answer, "x-ratelimit-limit"), BURST);
            statuses.push(answer.status);
            if answer.status == 429 {
                break;
            }
        }
        assert_eq!((statuses.first(), statuses.last()), (Some(&401), Some(&429)));
        let mut anonymous = rest.anonymous().get("/health").await;
        for _ in 0..10 * BURST {
            if anonymous.status == 429 {
                break;
            }
            anonymous = rest.anonymous().get("/health").await;
        }
        anonymous.expect_error(429);
        rest.get("/org/v2/environments").await.expect(200);
    }

    async fn every_answer_says_what_is_left(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        for (method, path) in [
            ("GET", "/health"), ("GET", "/openapi.json"), ("GET", "/nowhere"), ("PUT", "/org/v2/environments"),
            ("POST", "/org/v2/environments"), ("GET", "/kafka/v3/clusters/lkc-unknown/topics"),
        ] {
            for client in [rest.clone(), rest.anonymous()] {
                let answer = client.send(method, path, &[], None).await;
                for header in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
                    number(&answer, header);
                }
            }
        }
    }
}
