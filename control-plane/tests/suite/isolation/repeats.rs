//! What one organization was given to come back with does nothing for another: page tokens, idempotency keys, entity tags.

use serde_json::{Value, json};

use super::{Ids, comparable, make_objects, nobodys_ids, object_id};
use crate::fixture::rest::{client_quota_body, cloud_key_body, cluster_body, kafka_key_body, role_binding_body};
use crate::fixture::{Answer, Engine, Installation, Rest};

/// Lists that hold one object in a new organization, so that there is no second page, and those whose objects have the
/// same ids in every organization.
const SKIPPED_LISTS: &[&str] =
    &["/org/v2/organizations", "/service-quota/v1/applied-quotas", "/service-quota/v1/scopes"];

/// Logging in makes something new each time.
const SESSIONS: &str = "/iam/v2/sessions";

fn document() -> Value {
    serde_json::from_str(&millstream_control_plane::openapi_document()).expect("JSON")
}

/// The paths of all operations with the method.
fn operations<'a>(document: &'a Value, method: &'a str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().filter_map(move |(path, item)| Some((path, item.get(method)?)))
}

fn parameters(operation: &Value) -> impl Iterator<Item = (&str, bool)> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    let queries = all.filter(|parameter| parameter["in"] == "query");
    queries.map(|parameter| (parameter["name"].as_str().expect("a name"), parameter["required"] == true))
}

/// The path of a list with what it cannot do without.
fn list_path(path: &str, operation: &Value, ids: &Ids) -> String {
    let mut query = Vec::new();
    for (name, _) in parameters(operation).filter(|(_, is_required)| *is_required) {
        let value = match name {
            "environment" => ids.environment.clone(),
            "spec.cluster" => ids.cluster.clone(),
            "crn_pattern" => format!("crn://confluent.cloud/organization={}", ids.organization),
            _ => panic!("{path} requires {name}: what is it?"),
        };
        query.push(format!("{name}={value}"));
    }
    format!("{path}?{}", query.join("&"))
}

/// Ids in the data of a list.
fn ids_in(list: &Answer) -> Vec<String> {
    let data = list.json()["data"].as_array().expect("a list").clone();
    data.iter().filter_map(|object| object["id"].as_str().map(str::to_owned)).collect()
}

/// Bodies that each POST takes from an organization with these objects.
fn new_objects(path: &str, ids: &Ids) -> Vec<Value> {
    match path {
        "/org/v2/environments" => vec![json!({"display_name":"again"})],
        "/iam/v2/service-accounts" => vec![json!({"display_name":"again","description":""})],
        "/iam/v2/api-keys" => vec![cloud_key_body(&ids.account), kafka_key_body(&ids.account, &ids.cluster)],
        "/iam/v2/users" => vec![json!({"email":"again@example.com"})],
        "/iam/v2/role-bindings" => {
            let crn =
                format!("crn://confluent.cloud/organization={}/environment={}", ids.organization, ids.environment);
            vec![role_binding_body(&ids.account, "EnvironmentAdmin", &crn)]
        }
        "/kafka-quotas/v1/client-quotas" => {
            vec![client_quota_body(&ids.environment, &ids.cluster, &[&ids.account])]
        }
        "/cmk/v2/clusters" => vec![cluster_body(&ids.environment, "again")],
        _ => panic!("POST {path} has no row in this test"),
    }
}

async fn post(rest: &Rest, key: &str, path: &str, body: &Value) -> Answer {
    rest.send("POST", path, &[("idempotency-key", key)], Some(body.to_string().into_bytes())).await
}

on_both_engines! {
    async fn a_page_token_of_another_organization_shows_nothing_of_it_in_any_list(engine: Engine) {
        let installation = Installation::start(engine).await;
        let acme = &installation.rest;
        let (globex_organization, globex) = installation.another_organization().await;
        let own = make_objects(&installation, acme, &installation.organization).await;
        let theirs = make_objects(&installation, &globex, &globex_organization).await;
        for path in ["/org/v2/environments", "/iam/v2/service-accounts", "/iam/v2/api-keys", "/cmk/v2/clusters",
            "/kafka-quotas/v1/client-quotas"] {
            for body in new_objects(path, &theirs) {
                let answer = globex.post(path, body).await;
                assert!(answer.status < 300, "{path}: {}", answer.text);
            }
        }
        let document = document();
        let mut tokens = 0;
        for (path, operation) in operations(&document, "get") {
            if !parameters(operation).any(|(name, _)| name == "page_token") || SKIPPED_LISTS.contains(&path.as_str()) {
                continue;
            }
            let list = list_path(path, operation, &theirs);
            let all = ids_in(&globex.get(&list).await.expect(200));
            let page = globex.get(&format!("{list}&page_size=1")).await.expect(200);
            let next = page.text_at("/metadata/next");
            let token = next.split(['?', '&']).find_map(|pair| pair.strip_prefix("page_token=")).expect("a token");
            let stolen = acme.get(&format!("{}&page_token={token}", list_path(path, operation, &own))).await;
            assert!([200, 400].contains(&stolen.status), "{path}: {}", stolen.text);
            for id in all {
                assert!(!stolen.text.contains(&id), "{path} shows {id}: {}", stolen.text);
            }
            tokens += 1;
        }
        assert!(tokens >= 4, "only {tokens} lists have pages");
    }

    async fn an_idempotency_key_of_another_organization_gives_nothing_of_it(engine: Engine) {
        let installation = Installation::start(engine).await;
        let acme = &installation.rest;
        let (globex_organization, globex) = installation.another_organization().await;
        let own = make_objects(&installation, acme, &installation.organization).await;
        let theirs = make_objects(&installation, &globex, &globex_organization).await;
        let nobodys = nobodys_ids();
        let document = document();
        // Requests to brokers are passed on without looking at a key.
        for (path, _) in operations(&document, "post").filter(|(path, _)| !path.starts_with("/kafka/") && *path != SESSIONS) {
            let bodies = [&own, &theirs, &nobodys].map(|ids| new_objects(path, ids));
            let [own_bodies, their_bodies, nobodys_bodies] = bodies;
            for (number, their_body) in their_bodies.iter().enumerate() {
                let key = format!("{path}-{number}");
                let first = post(&globex, &key, path, their_body).await;
                assert!(first.status < 300, "{path}: {}", first.text);
                // Their request as it was, with their ids, then our own with the same key.
                if *their_body != own_bodies[number] {
                    let repeated = post(acme, &key, path, their_body).await;
                    let random = post(acme, &format!("{key}-random"), path, &nobodys_bodies[number]).await;
                    assert_eq!(repeated.status, 404, "{path}: {}", repeated.text);
                    assert_eq!(comparable(&repeated, &theirs), comparable(&random, &nobodys), "{path}");
                }
                let ours = post(acme, &key, path, &own_bodies[number]).await;
                assert!(ours.status < 300, "{path}: {}", ours.text);
                assert_ne!(ours.text_at("/id"), first.text_at("/id"), "{path}");
            }
        }
    }

    async fn a_condition_on_another_organizations_object_tells_nothing(engine: Engine) {
        let installation = Installation::start(engine).await;
        let acme = &installation.rest;
        let (globex_organization, globex) = installation.another_organization().await;
        let theirs = make_objects(&installation, &globex, &globex_organization).await;
        let nobodys = nobodys_ids();
        let document = document();
        for method in ["get", "patch", "delete"] {
            for (path, _) in operations(&document, method).filter(|(path, _)| path.ends_with("/{id}")) {
                for (header, value) in [("if-match", "*"), ("if-none-match", "*"), ("if-match", "\"1\"")] {
                    let mut answers = Vec::new();
                    for ids in [&theirs, &nobodys] {
                        let path = object_path(path, ids);
                        let body = (method == "patch").then(|| patch_body(&path, ids));
                        answers.push(acme.send(&method.to_uppercase(), &path, &[(header, value)], body).await);
                    }
                    assert_eq!(answers[0].status, 404, "{method} {path} {header}: {}", answers[0].text);
                    assert_eq!(comparable(&answers[0], &theirs), comparable(&answers[1], &nobodys), "{method} {path}");
                }
            }
        }
    }
}

/// The path of the object of these ids.
fn object_path(template: &str, ids: &Ids) -> String {
    let id = object_id(template, ids).unwrap_or_else(|| panic!("{template} has no row in this test"));
    let path = template.replace("{id}", &id);
    match template.trim_end_matches("/{id}") {
        // The same for everybody: what makes the difference is the object in the query.
        "/service-quota/v1/applied-quotas" => format!("{path}?kafka_cluster={}", ids.cluster),
        "/cmk/v2/clusters" => format!("{path}?environment={}", ids.environment),
        _ => path,
    }
}

/// A body that changes nothing but would be taken.
fn patch_body(path: &str, ids: &Ids) -> Vec<u8> {
    let body = match path.split('/').nth(3).unwrap_or_default() {
        "clusters" => json!({"spec":{"display_name":"x","environment":{"id":ids.environment}}}),
        "client-quotas" => json!({"spec":{"display_name":"x"}}),
        "api-keys" => json!({"spec":{"display_name":"x"}}),
        _ => json!({"display_name":"x"}),
    };
    body.to_string().into_bytes()
}
