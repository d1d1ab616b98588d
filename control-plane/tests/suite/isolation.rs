//! The wall between organizations: an id of another organization is answered exactly like an id that does not exist.
//!
//! The operations come from the OpenAPI document: one that has no row here fails the test.

mod places;
mod repeats;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::fixture::rest::{cloud_key_body, cluster_body, kafka_key_body};
use crate::fixture::{Answer, Engine, Installation, Rest};

/// Ids of one organization's objects.
struct Ids {
    organization: String,
    environment: String,
    cluster: String,
    account: String,
    user: String,
    key: String,
    binding: String,
    event: String,
}

/// One request, and whether it is refused with 404 for ids that are not the caller's.
struct Case {
    path: String,
    body: Option<Value>,
    expected: u16,
}

fn refused(path: String, body: Option<Value>) -> Case {
    Case { path, body, expected: 404 }
}

/// Every operation, called by an organization whose own objects are `own`, with ids from `theirs`.
fn cases(own: &Ids, theirs: &Ids) -> BTreeMap<&'static str, Vec<Case>> {
    let named = |name: &str| Some(json!({"display_name": name}));
    let their_cluster = format!("/cmk/v2/clusters/{}", theirs.cluster);
    let crn = |organization: &str, rest: &str| format!("crn://confluent.cloud/organization={organization}{rest}");
    let in_own = |rest: &str| crn(&own.organization, rest);
    let their_cluster_crn = format!("/environment={}/cloud-cluster={}", theirs.environment, theirs.cluster);
    let own_bindings = |rest: &str| format!("/iam/v2/role-bindings?crn_pattern={}", in_own(rest));
    let bind = |principal: &str, role: &str, crn: String| {
        let body = json!({"principal":format!("User:{principal}"),"role_name":role,"crn_pattern":crn});
        refused("/iam/v2/role-bindings".into(), Some(body))
    };
    let in_environment = |environment: &str| json!({"spec":{"display_name":"x","environment":{"id":environment}}});
    BTreeMap::from([
        ("get /health", vec![]),
        (
            "get /audit/v1/events",
            [("principal", &theirs.account), ("credential_id", &theirs.key), ("resource_id", &theirs.cluster)]
                .map(|(name, id)| Case { path: format!("/audit/v1/events?{name}={id}"), body: None, expected: 200 })
                .into(),
        ),
        ("get /audit/v1/events/{id}", vec![refused(format!("/audit/v1/events/{}", theirs.event), None)]),
        ("get /org/v2/organizations", vec![]),
        (
            "get /org/v2/organizations/{id}",
            vec![refused(format!("/org/v2/organizations/{}", theirs.organization), None)],
        ),
        ("get /org/v2/environments", vec![]),
        ("post /org/v2/environments", vec![]),
        ("get /org/v2/environments/{id}", vec![refused(format!("/org/v2/environments/{}", theirs.environment), None)]),
        (
            "patch /org/v2/environments/{id}",
            vec![refused(format!("/org/v2/environments/{}", theirs.environment), named("x"))],
        ),
        (
            "delete /org/v2/environments/{id}",
            vec![refused(format!("/org/v2/environments/{}", theirs.environment), None)],
        ),
        ("get /iam/v2/service-accounts", vec![]),
        ("post /iam/v2/service-accounts", vec![]),
        (
            "get /iam/v2/service-accounts/{id}",
            vec![refused(format!("/iam/v2/service-accounts/{}", theirs.account), None)],
        ),
        (
            "patch /iam/v2/service-accounts/{id}",
            vec![refused(format!("/iam/v2/service-accounts/{}", theirs.account), named("x"))],
        ),
        (
            "delete /iam/v2/service-accounts/{id}",
            vec![refused(format!("/iam/v2/service-accounts/{}", theirs.account), None)],
        ),
        (
            "get /iam/v2/api-keys",
            vec![
                // Filters name what they like; the list stays empty.
                Case { path: format!("/iam/v2/api-keys?spec.owner={}", theirs.account), body: None, expected: 200 },
                Case { path: format!("/iam/v2/api-keys?spec.owner={}", theirs.user), body: None, expected: 200 },
                Case { path: format!("/iam/v2/api-keys?spec.resource={}", theirs.cluster), body: None, expected: 200 },
            ],
        ),
        (
            "post /iam/v2/api-keys",
            vec![
                refused("/iam/v2/api-keys".into(), Some(cloud_key_body(&theirs.account))),
                refused("/iam/v2/api-keys".into(), Some(cloud_key_body(&theirs.user))),
                refused("/iam/v2/api-keys".into(), Some(kafka_key_body(&own.account, &theirs.cluster))),
                refused("/iam/v2/api-keys".into(), Some(kafka_key_body(&theirs.account, &own.cluster))),
            ],
        ),
        ("get /iam/v2/api-keys/{id}", vec![refused(format!("/iam/v2/api-keys/{}", theirs.key), None)]),
        (
            "patch /iam/v2/api-keys/{id}",
            vec![refused(format!("/iam/v2/api-keys/{}", theirs.key), Some(json!({"spec":{"display_name":"x"}})))],
        ),
        ("delete /iam/v2/api-keys/{id}", vec![refused(format!("/iam/v2/api-keys/{}", theirs.key), None)]),
        (
            "get /iam/v2/role-bindings",
            vec![
                refused(format!("/iam/v2/role-bindings?crn_pattern={}", crn(&theirs.organization, "")), None),
                Case { path: own_bindings(&format!("/environment={}", theirs.environment)), body: None, expected: 200 },
                Case { path: own_bindings(&their_cluster_crn), body: None, expected: 200 },
                Case {
                    path: format!("{}&principal=User:{}", own_bindings(""), theirs.account),
                    body: None,
                    expected: 200,
                },
            ],
        ),
        (
            "post /iam/v2/role-bindings",
            vec![
                bind(&own.account, "OrganizationAdmin", crn(&theirs.organization, "")),
                bind(&theirs.account, "OrganizationAdmin", crn(&own.organization, "")),
                bind(&theirs.user, "OrganizationAdmin", crn(&own.organization, "")),
                bind(&own.account, "EnvironmentAdmin", in_own(&format!("/environment={}", theirs.environment))),
                bind(&own.account, "CloudClusterAdmin", in_own(&their_cluster_crn)),
                bind(
                    &own.account,
                    "CloudClusterAdmin",
                    in_own(&format!("/environment={}/cloud-cluster={}", own.environment, theirs.cluster)),
                ),
                bind(&own.account, "ResourceOwner", in_own(&format!("/service-account={}", theirs.account))),
            ],
        ),
        ("get /iam/v2/role-bindings/{id}", vec![refused(format!("/iam/v2/role-bindings/{}", theirs.binding), None)]),
        ("delete /iam/v2/role-bindings/{id}", vec![refused(format!("/iam/v2/role-bindings/{}", theirs.binding), None)]),
        ("get /cmk/v2/clusters", vec![refused(format!("/cmk/v2/clusters?environment={}", theirs.environment), None)]),
        (
            "post /cmk/v2/clusters",
            vec![refused("/cmk/v2/clusters".into(), Some(cluster_body(&theirs.environment, "x")))],
        ),
        (
            "get /cmk/v2/clusters/{id}",
            vec![
                refused(format!("{their_cluster}?environment={}", theirs.environment), None),
                refused(format!("{their_cluster}?environment={}", own.environment), None),
                refused(format!("/cmk/v2/clusters/{}?environment={}", own.cluster, theirs.environment), None),
            ],
        ),
        (
            "patch /cmk/v2/clusters/{id}",
            vec![
                refused(their_cluster.clone(), Some(in_environment(&theirs.environment))),
                refused(their_cluster.clone(), Some(in_environment(&own.environment))),
                refused(format!("/cmk/v2/clusters/{}", own.cluster), Some(in_environment(&theirs.environment))),
                refused(
                    format!("/cmk/v2/clusters/{}?environment={}", own.cluster, theirs.environment),
                    Some(json!({"spec":{"display_name":"x"}})),
                ),
            ],
        ),
        (
            "delete /cmk/v2/clusters/{id}",
            vec![
                refused(format!("{their_cluster}?environment={}", theirs.environment), None),
                refused(format!("{their_cluster}?environment={}", own.environment), None),
                refused(format!("/cmk/v2/clusters/{}?environment={}", own.cluster, theirs.environment), None),
            ],
        ),
    ])
}

async fn make_objects(rest: &Rest, organization: &millstream_control_plane::Bootstrapped) -> Ids {
    let made = rest.post("/org/v2/environments", json!({"display_name": "staging"})).await.expect(201);
    let (environment, event) = (made.text_at("/id"), made.headers["x-request-id"].to_str().expect("text").to_owned());
    let cluster = rest.create_cluster(&environment, "one").await;
    let account = rest.create_service_account("app").await;
    let (key, _) = rest.create_kafka_key(&account, &cluster).await;
    let crn = format!("crn://confluent.cloud/organization={}", organization.organization_id);
    let binding = rest.bind_role(&account, "MetricsViewer", &crn).await;
    Ids {
        organization: organization.organization_id.to_string(),
        environment,
        cluster,
        account,
        user: organization.user_id.to_string(),
        key,
        binding,
        event,
    }
}

/// Ids of the right form that nothing has.
fn nobodys_ids() -> Ids {
    Ids {
        organization: "5f0d6d1c-0000-4000-8000-000000000000".into(),
        environment: "env-n0body00".into(),
        cluster: "lkc-n0body00".into(),
        account: "sa-n0body00".into(),
        user: "u-n0body00".into(),
        key: "AAAAAAAAAAAAAAAA".into(),
        binding: "rb-n0body00".into(),
        event: "5f0d6d1c-0000-4000-8000-000000000001".into(),
    }
}

/// Everything of an answer but the request's own id and date; ids that the caller sent itself are masked.
fn comparable(answer: &Answer, sent: &Ids) -> String {
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| {
            !["x-request-id", "date", "content-length", "x-ratelimit-remaining"].contains(&name.as_str())
        })
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    let request_id = answer.headers["x-request-id"].to_str().expect("text").to_owned();
    let mut text = answer.text.replace(&request_id, "<request>");
    let ids = [&sent.organization, &sent.environment, &sent.cluster, &sent.account, &sent.user, &sent.key, &sent.event];
    for id in ids.into_iter().chain([&sent.binding]) {
        text = text.replace(id.as_str(), "<id>");
    }
    format!("{} {} {text}", answer.status, headers.join(", "))
}

async fn snapshot(rest: &Rest, ids: &Ids) -> Vec<Value> {
    let mut seen = Vec::new();
    for path in [
        "/org/v2/environments".to_owned(),
        "/iam/v2/service-accounts".to_owned(),
        "/iam/v2/api-keys".to_owned(),
        format!("/cmk/v2/clusters?environment={}", ids.environment),
    ] {
        seen.push(rest.get(&path).await.expect(200).json());
    }
    seen
}

on_both_engines! {
    async fn another_organizations_ids_are_answered_like_ids_that_do_not_exist(engine: Engine) {
        let installation = Installation::start(engine).await;
        let acme = &installation.rest;
        let (globex_organization, globex) = installation.another_organization().await;
        let own = make_objects(acme, &installation.organization).await;
        let theirs = make_objects(&globex, &globex_organization).await;
        let nobodys = nobodys_ids();
        let before = snapshot(&globex, &theirs).await;

        let document: Value = serde_json::from_str(&millstream_control_plane::openapi_document()).expect("JSON");
        let (foreign, random) = (cases(&own, &theirs), cases(&own, &nobodys));
        for (path, item) in document["paths"].as_object().expect("paths") {
            for method in item.as_object().expect("operations").keys() {
                let operation = format!("{method} {path}");
                let foreign = foreign.get(operation.as_str());
                let foreign = foreign.unwrap_or_else(|| panic!("{operation} has no row in this test"));
                let takes_ids = path.contains("{id}");
                assert!(!takes_ids || !foreign.is_empty(), "{operation} takes an id but has no case");
                for (foreign, random) in foreign.iter().zip(&random[operation.as_str()]) {
                    let send = |case: &Case| {
                        let body = case.body.as_ref().map(|body| body.to_string().into_bytes());
                        let (method, path, rest) = (method.to_uppercase(), case.path.clone(), acme.clone());
                        async move { rest.send(&method, &path, &[], body).await }
                    };
                    let (foreign_answer, random_answer) = (send(foreign).await, send(random).await);
                    assert_eq!(foreign_answer.status, foreign.expected, "{operation}: {}", foreign_answer.text);
                    assert_eq!(
                        comparable(&foreign_answer, &theirs),
                        comparable(&random_answer, &nobodys),
                        "{operation} {}", foreign.path
                    );
                    if foreign.expected == 200 {
                        assert_eq!(foreign_answer.json()["data"], json!([]), "{operation}");
                    }
                }
            }
        }
        assert_eq!(snapshot(&globex, &theirs).await, before, "the other organization was changed");
    }
}
