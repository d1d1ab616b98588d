//! `Idempotency-Key`: a POST whose answer was lost can be sent again.

use serde_json::{Value, json};

use crate::fixture::rest::{cloud_key_body, cluster_body, kafka_key_body};
use crate::fixture::{Answer, Engine, Installation, Rest};

async fn post(rest: &Rest, key: &str, path: &str, body: &Value) -> Answer {
    rest.send("POST", path, &[("idempotency-key", key)], Some(body.to_string().into_bytes())).await
}

on_both_engines! {
    async fn a_repeated_post_finds_what_the_first_one_made(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("production").await;
        let account = rest.create_service_account("app").await;
        let cluster = rest.create_cluster(&environment, "other").await;
        for (number, (path, body)) in [
            ("/org/v2/environments", json!({"display_name":"staging"})),
            ("/iam/v2/service-accounts", json!({"display_name":"manager"})),
            ("/cmk/v2/clusters", cluster_body(&environment, "one")),
            ("/iam/v2/api-keys", cloud_key_body(&account)),
            ("/iam/v2/api-keys", kafka_key_body(&account, &cluster)),
        ].iter().enumerate() {
            let key = format!("key-{number}");
            let first = post(rest, &key, path, body).await;
            let second = post(rest, &key, path, body).await;
            assert_eq!((first.status, first.json()), (second.status, second.json()), "{path}");
            assert_eq!(first.headers["location"], second.headers["location"]);
            let other = post(rest, &key, path, &json!({"display_name":"different","spec":body["spec"]})).await;
            assert!(other.status == 422 || other.status == 400, "{path}: {}", other.text);
        }
    }

    async fn a_secret_that_is_given_again_opens_what_it_should(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let account = rest.create_service_account("app").await;
        post(rest, "again", "/iam/v2/api-keys", &cloud_key_body(&account)).await.expect(202);
        let repeated = post(rest, "again", "/iam/v2/api-keys", &cloud_key_body(&account)).await.expect(202);
        let (key, secret) = (repeated.text_at("/id"), repeated.text_at("/spec/secret"));
        assert_eq!(secret.len(), 64);
        rest.with_key(&key, &secret).get("/org/v2/environments").await.expect(200);
    }

    async fn keys_of_two_callers_do_not_meet(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_, globex) = installation.another_organization().await;
        let body = json!({"display_name":"staging"});
        let ours = post(&installation.rest, "same", "/org/v2/environments", &body).await.expect(201);
        let theirs = post(&globex, "same", "/org/v2/environments", &body).await.expect(201);
        assert_ne!(ours.text_at("/id"), theirs.text_at("/id"));
    }

    async fn an_object_deleted_meanwhile_is_not_made_again(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let body = json!({"display_name":"staging"});
        let id = post(rest, "once", "/org/v2/environments", &body).await.expect(201).text_at("/id");
        rest.delete(&format!("/org/v2/environments/{id}")).await.expect(204);
        post(rest, "once", "/org/v2/environments", &body).await.expect_error(409);
    }

    async fn a_bad_idempotency_key_is_refused(engine: Engine) {
        let installation = Installation::start(engine).await;
        let body = json!({"display_name":"staging"});
        for key in ["", &"x".repeat(256)] {
            post(&installation.rest, key, "/org/v2/environments", &body).await.expect_error(400);
        }
    }
}
