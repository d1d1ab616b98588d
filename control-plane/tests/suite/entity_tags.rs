//! Entity tags: a change on the condition that nobody else changed the object.

use serde_json::{Value, json};

use crate::fixture::rest::{cloud_key_body, cluster_body};
use crate::fixture::{Answer, Engine, Installation, Rest};

/// Objects that need more than one organization to be made: their own suites have them.
const MADE_ELSEWHERE: &[&str] =
    &["/kafka-quotas/v1/client-quotas/{id}", "/iam/v2/sessions/{id}", "/iam/v2/sessions", "/org/v2/organizations/{id}"];

fn tag(answer: &Answer) -> String {
    let tag = answer.headers.get("etag").unwrap_or_else(|| panic!("no ETag: {answer:?}"));
    tag.to_str().expect("text").to_owned()
}

async fn send_if(rest: &Rest, tag: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let body = body.map(|body| body.to_string().into_bytes());
    rest.send(method, path, &[("if-match", tag)], body).await
}

/// One object of each collection: its path, its query, and a change of it.
async fn make(installation: &Installation, collection: &str) -> (String, String, Value) {
    let rest = &installation.rest;
    let made = |path: &str, body: Value| {
        let (rest, path) = (rest.clone(), path.to_owned());
        async move { rest.post(&path, body).await.text_at("/id") }
    };
    let (id, query, change) = match collection {
        "/org/v2/environments" => {
            (made(collection, json!({"display_name":"a"})).await, String::new(), json!({"display_name":"b"}))
        }
        "/iam/v2/service-accounts" => {
            (made(collection, json!({"display_name":"a"})).await, String::new(), json!({"description":"b"}))
        }
        "/iam/v2/api-keys" => {
            let account = rest.create_service_account("app").await;
            (made(collection, cloud_key_body(&account)).await, String::new(), json!({"spec":{"description":"b"}}))
        }
        "/cmk/v2/clusters" => {
            let environment = rest.create_environment("of the cluster").await;
            let id = made(collection, cluster_body(&environment, "one")).await;
            (
                id,
                format!("?environment={environment}"),
                json!({"spec":{"display_name":"b","environment":{"id":environment}}}),
            )
        }
        "/iam/v2/users" => {
            (made(collection, json!({"email":"ann@example.com"})).await, String::new(), json!({"full_name":"Ann"}))
        }
        "/iam/v2/role-bindings" => {
            let account = rest.create_service_account("bound").await;
            let organization = installation.organization.organization_id;
            let body = json!({
                "principal": format!("User:{account}"), "role_name": "MetricsViewer",
                "crn_pattern": format!("crn://confluent.cloud/organization={organization}"),
            });
            (made(collection, body).await, String::new(), json!({}))
        }
        _ => panic!("{collection} has no row in this test"),
    };
    (format!("{collection}/{id}"), query, change)
}

on_both_engines! {
    async fn a_change_can_demand_that_nobody_else_changed_the_object(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let document: Value = serde_json::from_str(&millstream_control_plane::openapi_document()).expect("JSON");
        for (template, item) in document["paths"].as_object().expect("paths") {
            let (can_change, can_delete) = (item.get("patch").is_some(), item.get("delete").is_some());
            if !(can_change || can_delete) || MADE_ELSEWHERE.contains(&template.as_str()) || template.starts_with("/kafka/") {
                continue;
            }
            let (path, query, change) = make(&installation, template.trim_end_matches("/{id}")).await;
            let path_and_query = format!("{path}{query}");
            let first = tag(&rest.get(&path_and_query).await.expect(200));
            if can_change {
                let changed = send_if(rest, &first, "PATCH", &path, Some(&change)).await.expect(200);
                assert_ne!(tag(&changed), first, "{template}");
                assert_eq!(tag(&changed), tag(&rest.get(&path_and_query).await.expect(200)), "{template}");
                send_if(rest, &first, "PATCH", &path, Some(&change)).await.expect_error(412);
            }
            if can_delete {
                send_if(rest, "\"of-another-version\"", "DELETE", &path_and_query, None).await.expect_error(412);
                let present = tag(&rest.get(&path_and_query).await.expect(200));
                let deleted = send_if(rest, &present, "DELETE", &path_and_query, None).await;
                assert!([200, 204].contains(&deleted.status), "{template}: {}", deleted.text);
            }
        }
    }

    async fn the_answer_that_makes_an_object_has_its_tag(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let account = rest.create_service_account("app").await;
        let key = rest.post("/iam/v2/api-keys", cloud_key_body(&account)).await.expect(202);
        let read = rest.get(&format!("/iam/v2/api-keys/{}", key.text_at("/id"))).await.expect(200);
        assert_eq!(tag(&key), tag(&read));
    }
}
