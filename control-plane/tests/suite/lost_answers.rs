//! A POST whose answer was lost is sent again, without an idempotency key: it makes no second object.

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::fixture::rest::{cloud_key_body, cluster_body};
use crate::fixture::{Engine, Installation, PATIENCE};

/// Sends a POST and breaks the connection without reading the answer, once the object is made.
async fn post_and_break(installation: &Installation, path: &str, body: &Value) {
    let stream = post_unread(installation, path, body).await;
    wait_for_state(installation, &["OPEN", "LOST"]).await;
    drop(stream);
    wait_for_state(installation, &["LOST"]).await;
}

/// Sends a POST. Dropped, the connection is broken off.
async fn post_unread(installation: &Installation, path: &str, body: &Value) -> TcpStream {
    let organization = &installation.organization;
    let credentials = format!("{}:{}", organization.cloud_api_key, organization.cloud_api_secret.expose());
    let credentials = base64::engine::general_purpose::STANDARD.encode(credentials);
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\nauthorization: Basic {credentials}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(installation.control_plane().http_address()).await.expect("it connects");
    stream.set_zero_linger().expect("the option exists");
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    stream
}

/// Waits until the newest POST has one of the states.
async fn wait_for_state(installation: &Installation, wanted: &[&str]) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let query = "SELECT state FROM recent_posts ORDER BY created_at DESC LIMIT 1";
        let state = installation.read_text(query).await;
        if state.as_deref().is_some_and(|state| wanted.contains(&state)) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "the answer did not become {wanted:?}: {state:?}");
        tokio::task::yield_now().await;
    }
}

async fn count(installation: &Installation, path: &str) -> usize {
    let list = installation.rest.get(&format!("{path}?page_size=100")).await.expect(200);
    list.json()["data"].as_array().expect("a list").len()
}

on_both_engines! {
    async fn a_key_whose_answer_was_lost_is_given_again_with_its_secret(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let account = rest.create_service_account("app").await;
        wait_for_state(&installation, &["OPEN", "DELIVERED"]).await;
        let body = cloud_key_body(&account);
        let keys = count(&installation, "/iam/v2/api-keys").await;
        post_and_break(&installation, "/iam/v2/api-keys", &body).await;
        assert_eq!(count(&installation, "/iam/v2/api-keys").await, keys + 1);

        let repeated = rest.post("/iam/v2/api-keys", body.clone()).await.expect(202);
        assert_eq!(count(&installation, "/iam/v2/api-keys").await, keys + 1, "an orphan");
        let made = rest.with_key(&repeated.text_at("/id"), &repeated.text_at("/spec/secret"));
        assert_ne!(made.get("/org/v2/environments").await.status, 401);
        // This answer arrived: whoever asks again wants another key.
        wait_for_state(&installation, &["DELIVERED"]).await;
        let another = rest.post("/iam/v2/api-keys", body).await.expect(202);
        assert_ne!(another.text_at("/id"), repeated.text_at("/id"));
        let seed = installation.read_text("SELECT seed FROM recent_posts WHERE state = 'DELIVERED' LIMIT 1").await;
        assert_eq!(seed.as_deref(), Some(""), "what secrets are derived from is erased");
    }

    async fn a_key_that_is_asked_for_again_at_the_moment_of_the_hang_up_is_not_made_twice(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let account = rest.create_service_account("app").await;
        for round in 0..20 {
            let mut body = cloud_key_body(&account);
            body["spec"]["description"] = json!(format!("round {round}"));
            let stream = post_unread(&installation, "/iam/v2/api-keys", &body).await;
            installation.wait_for_number("SELECT COUNT(*) FROM api_keys", round + 2).await;
            drop(stream);
            rest.post("/iam/v2/api-keys", body).await.expect(202);
            installation.wait_for_number("SELECT COUNT(*) FROM api_keys", round + 2).await;
        }
    }

    async fn an_environment_whose_answer_was_lost_is_found_again(engine: Engine) {
        let installation = Installation::start(engine).await;
        let body = json!({"display_name":"staging"});
        post_and_break(&installation, "/org/v2/environments", &body).await;
        installation.rest.post("/org/v2/environments", body).await.expect(201);
        assert_eq!(count(&installation, "/org/v2/environments").await, 1);
    }

    async fn two_identical_keys_are_made_by_whoever_asks_twice(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let account = rest.create_service_account("app").await;
        let post = || rest.post("/iam/v2/api-keys", cloud_key_body(&account));
        let first = post().await.expect(202);
        let (second, third) = tokio::join!(post(), post());
        let mut ids = [&first, &second.expect(202), &third.expect(202)].map(|answer| answer.text_at("/id"));
        ids.sort();
        assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    }

    async fn what_can_be_there_once_only_is_answered_again_to_the_same_caller(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("production").await;
        for (path, body) in [
            ("/org/v2/environments", json!({"display_name":"staging"})),
            ("/iam/v2/service-accounts", json!({"display_name":"app","description":""})),
            ("/cmk/v2/clusters", cluster_body(&environment, "one")),
        ] {
            let first = rest.post(path, body.clone()).await;
            let second = rest.post(path, body.clone()).await;
            assert_eq!((first.status, first.text_at("/id")), (second.status, second.text_at("/id")), "{path}");
            assert_eq!(first.headers["location"], second.headers["location"]);
            // The same name with other words is another request.
            let mut other = body.clone();
            other["spelled"] = json!("differently");
            rest.post(path, other).await.expect_error(409);
        }
    }

    async fn what_was_renamed_or_deleted_meanwhile_is_made_anew(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let body = json!({"display_name":"staging"});
        let first = rest.post("/org/v2/environments", body.clone()).await.expect(201).text_at("/id");
        rest.patch(&format!("/org/v2/environments/{first}"), json!({"display_name":"renamed"})).await.expect(200);
        let second = rest.post("/org/v2/environments", body.clone()).await.expect(201).text_at("/id");
        assert_ne!(first, second);
        rest.delete(&format!("/org/v2/environments/{second}")).await.expect(204);
        let third = rest.post("/org/v2/environments", body).await.expect(201).text_at("/id");
        assert_ne!(second, third);
    }
}
