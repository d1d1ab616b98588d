//! The audit log: a row for every call, permitted or not.

use serde_json::{Value, json};

use crate::fixture::rest::cloud_key_body;
use crate::fixture::{Answer, Engine, Installation, PATIENCE, Rest};

fn id_of(answer: &Answer) -> String {
    answer.headers["x-request-id"].to_str().expect("text").to_owned()
}

/// The event of an answer to a request that may change something: it is there when the answer is.
async fn event(rest: &Rest, answer: &Answer) -> Value {
    rest.get(&format!("/audit/v1/events/{}", id_of(answer))).await.expect(200).json()
}

/// Reads an event until it has the status.
async fn wait_for(rest: &Rest, id: &str, status: u16) -> Answer {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = rest.get(&format!("/audit/v1/events/{id}")).await;
        if answer.status == status {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "the event did not become {status} in time: {}", answer.text);
        tokio::task::yield_now().await;
    }
}

on_both_engines! {
    async fn an_answer_to_a_change_leaves_when_its_event_is_durable(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let made = rest
            .send("POST", "/org/v2/environments?a=b", &[("user-agent", "a-test")], Some(br#"{"display_name":"staging"}"#.into()))
            .await
            .expect(201);
        let environment = made.text_at("/id");
        let event = event(rest, &made).await;
        for (field, expected) in [
            ("kind", "AuditEvent"), ("operation_id", "createOrgV2Environment"), ("method", "POST"),
            ("path", "/org/v2/environments"), ("user_agent", "a-test"), ("address", "127.0.0.1"), ("error_code", ""),
            ("credential_id", installation.organization.cloud_api_key.as_str()), ("resource_id", environment.as_str()),
            ("principal", &format!("User:{}", installation.organization.user_id)),
            ("resource_name", &made.text_at("/metadata/resource_name")),
        ] {
            assert_eq!(event[field], json!(expected), "{field}: {event}");
        }
        assert_eq!(event["status"], json!(201));
    }

    async fn refused_calls_are_recorded_too(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let bad = rest.post("/org/v2/environments", json!({"display_name":""})).await;
        assert_eq!((&event(rest, &bad).await["status"], &event(rest, &bad).await["error_code"]), (&json!(400), &json!("invalid_request")));
        let unknown = rest.delete("/org/v2/environments/env-unknown").await;
        let recorded = event(rest, &unknown).await;
        assert_eq!((&recorded["status"], &recorded["resource_id"]), (&json!(404), &json!("env-unknown")));
        // Nobody in particular called, so nobody in particular reads it.
        let wrong = rest.with_key(installation.organization.cloud_api_key.as_str(), "wrong");
        let denied = wrong.delete("/org/v2/environments/env-unknown").await;
        rest.get(&format!("/audit/v1/events/{}", id_of(&denied))).await.expect_error(404);
    }

    async fn reads_are_recorded_before_the_service_stops(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let read = installation.rest.get("/org/v2/environments").await.expect(200);
        installation.restart().await;
        let event = event(&installation.rest, &read).await;
        assert_eq!(event["operation_id"], json!("listOrgV2Environments"));
    }

    async fn secrets_and_bodies_are_not_recorded(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let account = rest.create_service_account("app").await;
        let mut body = cloud_key_body(&account);
        body["spec"]["description"] = json!("a text of the body");
        let key = rest.post("/iam/v2/api-keys?token=in-a-query", body).await.expect(202);
        let recorded = event(rest, &key).await.to_string();
        for hidden in [key.text_at("/spec/secret").as_str(), "a text of the body", "in-a-query"] {
            assert!(!recorded.contains(hidden), "{recorded}");
        }
        assert!(recorded.contains(&key.text_at("/id")), "{recorded}");
    }

    async fn events_are_found_by_what_they_say(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        rest.create_environment("production").await;
        rest.delete("/org/v2/environments/env-unknown").await.expect(404);
        let key = installation.organization.cloud_api_key.as_str();
        let count = async |filter: &str| {
            let listed = rest.get(&format!("/audit/v1/events?page_size=100&{filter}")).await.expect(200);
            listed.json()["data"].as_array().expect("a list").iter().filter(|event| event["method"] != "GET").count()
        };
        assert_eq!(count("").await, 3);
        assert_eq!(count("operation_id=createOrgV2Environment").await, 2);
        assert_eq!(count(&format!("resource_id={environment}")).await, 1);
        assert_eq!(count("status=404").await, 1);
        assert_eq!(count(&format!("credential_id={key}")).await, 3);
        assert_eq!(count("credential_id=OTHER").await, 0);
        assert_eq!(count(&format!("principal=User:{}", installation.organization.user_id)).await, 3);
        assert_eq!(count("from=2020-01-01T00:00:00Z").await, 3);
        assert_eq!(count("until=2020-01-01T00:00:00Z").await, 0);
        for (parameter, value) in [("from", "yesterday"), ("until", "1"), ("status", "ok"), ("status", "70000")] {
            let refused = rest.get(&format!("/audit/v1/events?{parameter}={value}")).await;
            assert_eq!(refused.expect_error(400), parameter);
        }
        let first = rest.get("/audit/v1/events?page_size=1&operation_id=createOrgV2Environment").await.expect(200);
        let second = rest.get(&first.text_at("/metadata/next")).await.expect(200);
        assert_ne!(first.text_at("/data/0/id"), second.text_at("/data/0/id"));
        assert!(second.json()["metadata"].get("next").is_none(), "{}", second.text);
    }

    async fn events_are_removed_after_their_time(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let old = installation.rest.post("/org/v2/environments", json!({"display_name":"old"})).await.expect(201);
        let young = installation.rest.post("/org/v2/environments", json!({"display_name":"young"})).await.expect(201);
        let old = id_of(&old);
        installation.edit_database(&format!("UPDATE audit_events SET created_at = 1 WHERE id = '{old}'")).await;
        wait_for(&installation.rest, &old, 404).await;
        event(&installation.rest, &young).await;
    }
}
