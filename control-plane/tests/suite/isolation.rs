//! The wall between organizations: an id of another organization is answered exactly like an id that does not exist.
//!
//! The operations come from the OpenAPI document: one that has no row here fails the test.

mod places;
mod repeats;
mod roleless;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::fixture::document::{Operation, operations};
use crate::fixture::rest::{PASSWORD, client_quota_body, cloud_key_body, cluster_body, kafka_key_body};
use crate::fixture::{Answer, Engine, Installation, Rest};

/// Ids of one organization's objects.
pub(crate) struct Ids {
    pub(crate) organization: String,
    pub(crate) environment: String,
    pub(crate) cluster: String,
    pub(crate) account: String,
    pub(crate) user: String,
    pub(crate) key: String,
    pub(crate) binding: String,
    pub(crate) session: String,
    pub(crate) event: String,
    pub(crate) client_quota: String,
}

/// One request, and whether it is refused with 404 for ids that are not the caller's.
pub(crate) struct Case {
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    expected: u16,
}

fn refused(path: String, body: Option<Value>) -> Case {
    Case { path, body, expected: 404 }
}

/// Every operation, called by an organization whose own objects are `own`, with ids from `theirs`.
pub(crate) fn cases(own: &Ids, theirs: &Ids) -> BTreeMap<String, Vec<Case>> {
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
    let client_quotas_of = |cluster: &str, environment: &str| {
        format!("/kafka-quotas/v1/client-quotas?spec.cluster={cluster}&environment={environment}")
    };
    let own_client_quota = format!("/kafka-quotas/v1/client-quotas/{}", own.client_quota);
    let their_client_quota = format!("/kafka-quotas/v1/client-quotas/{}", theirs.client_quota);
    let own_quota_moved_to =
        |field: &str, id: &str| refused(own_client_quota.clone(), Some(json!({"spec":{field:{"id":id}}})));
    let applied =
        |scope: &str, name: &str, id: &str| format!("/service-quota/v1/applied-quotas?scope={scope}&{name}={id}");
    let own_operations = [
        ("get /health", vec![]),
        (
            "get /audit/v1/events",
            [("principal", &theirs.account), ("credential_id", &theirs.key), ("resource_id", &theirs.cluster)]
                .map(|(name, id)| Case { path: format!("/audit/v1/events?{name}={id}"), body: None, expected: 200 })
                .into(),
        ),
        (
            "get /kafka-quotas/v1/client-quotas",
            vec![
                refused(client_quotas_of(&theirs.cluster, &theirs.environment), None),
                refused(client_quotas_of(&theirs.cluster, &own.environment), None),
                refused(client_quotas_of(&own.cluster, &theirs.environment), None),
            ],
        ),
        (
            "post /kafka-quotas/v1/client-quotas",
            [
                client_quota_body(&theirs.environment, &theirs.cluster, &[&own.account]),
                client_quota_body(&own.environment, &theirs.cluster, &[&own.account]),
                client_quota_body(&theirs.environment, &own.cluster, &[&own.account]),
                client_quota_body(&own.environment, &own.cluster, &[&theirs.account]),
            ]
            .map(|body| refused("/kafka-quotas/v1/client-quotas".into(), Some(body)))
            .into(),
        ),
        ("get /kafka-quotas/v1/client-quotas/{id}", vec![refused(their_client_quota.clone(), None)]),
        (
            "patch /kafka-quotas/v1/client-quotas/{id}",
            vec![
                refused(their_client_quota.clone(), Some(json!({"spec":{"display_name":"x"}}))),
                refused(own_client_quota.clone(), Some(json!({"spec":{"principals":[{"id":theirs.account}]}}))),
                // What cannot change is refused before anything is looked up.
                Case { expected: 400, ..own_quota_moved_to("cluster", &theirs.cluster) },
                Case { expected: 400, ..own_quota_moved_to("environment", &theirs.environment) },
            ],
        ),
        ("delete /kafka-quotas/v1/client-quotas/{id}", vec![refused(their_client_quota, None)]),
        (
            "get /service-quota/v1/applied-quotas",
            vec![
                refused(applied("ENVIRONMENT", "environment", &theirs.environment), None),
                refused(applied("KAFKA_CLUSTER", "environment", &theirs.environment), None),
                refused(applied("KAFKA_CLUSTER", "kafka_cluster", &theirs.cluster), None),
                refused(applied("SERVICE_ACCOUNT", "service_account", &theirs.account), None),
                refused(applied("USER_ACCOUNT", "user", &theirs.user), None),
            ],
        ),
        (
            "get /service-quota/v1/applied-quotas/{id}",
            [
                ("kafka.max_kafka_clusters.per_env", "environment", &theirs.environment),
                ("kafka.max_api_keys.per_cluster", "kafka_cluster", &theirs.cluster),
                ("iam.max_cloud_api_keys.per_service_account", "service_account", &theirs.account),
                ("iam.max_cloud_api_keys.per_user", "user", &theirs.user),
                // No quota has such a code.
                (theirs.cluster.as_str(), "kafka_cluster", &own.cluster),
            ]
            .map(|(code, name, id)| refused(format!("/service-quota/v1/applied-quotas/{code}?{name}={id}"), None))
            .into(),
        ),
        (
            "get /v2/metrics/cloud/export",
            vec![refused(format!("/v2/metrics/cloud/export?resource.kafka.id={}", theirs.cluster), None)],
        ),
        ("get /service-quota/v1/scopes", vec![]),
        (
            "get /service-quota/v1/scopes/{id}",
            vec![refused(format!("/service-quota/v1/scopes/{}", theirs.environment), None)],
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
        ("get /iam/v2/users", vec![]),
        ("post /iam/v2/users", vec![]),
        ("get /iam/v2/users/{id}", vec![refused(format!("/iam/v2/users/{}", theirs.user), None)]),
        (
            "patch /iam/v2/users/{id}",
            vec![refused(format!("/iam/v2/users/{}", theirs.user), Some(json!({"full_name":"x"})))],
        ),
        ("delete /iam/v2/users/{id}", vec![refused(format!("/iam/v2/users/{}", theirs.user), None)]),
        (
            "post /iam/v2/sessions",
            vec![Case {
                path: "/iam/v2/sessions".into(),
                body: Some(json!({
                    "email": "person@example.com", "password": "not the password", "organization_id": theirs.organization,
                })),
                expected: 401,
            }],
        ),
        ("delete /iam/v2/sessions/{id}", vec![refused(format!("/iam/v2/sessions/{}", theirs.session), None)]),
        ("get /.well-known/jwks.json", vec![]),
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
    ];
    let own_operations = own_operations.into_iter().map(|(name, row)| (name.to_owned(), row));
    own_operations.chain(forwarded_cases(theirs)).collect()
}

/// Every operation that brokers answer, with the id of a cluster from `theirs`. What is inside of a cluster is behind
/// the brokers' own wall.
fn forwarded_cases(theirs: &Ids) -> impl Iterator<Item = (String, Vec<Case>)> {
    let forwarded = operations().into_iter().filter(Operation::is_forwarded);
    forwarded.map(|operation| {
        let path = operation.path_with(|name| match name {
            "cluster_id" => theirs.cluster.clone(),
            "partition_id" | "broker_id" => "0".into(),
            _ => "x".into(),
        });
        let row = if path.contains(&theirs.cluster) { vec![refused(path, None)] } else { Vec::new() };
        (operation.name(), row)
    })
}

/// An organization's objects: one of each kind.
pub(crate) async fn make_objects(
    installation: &Installation,
    rest: &Rest,
    organization: &millstream_control_plane::Bootstrapped,
) -> Ids {
    let made = rest.post("/org/v2/environments", json!({"display_name": "staging"})).await.expect(201);
    let (environment, event) = (made.text_at("/id"), made.headers["x-request-id"].to_str().expect("text").to_owned());
    let cluster = rest.create_cluster(&environment, "one").await;
    let account = rest.create_service_account("app").await;
    let (key, _) = rest.create_kafka_key(&account, &cluster).await;
    let crn = format!("crn://confluent.cloud/organization={}", organization.organization_id);
    let dedicated = format!("UPDATE logical_clusters SET kind = 'Dedicated', units = 1 WHERE id = '{cluster}'");
    installation.run_statement(&dedicated).await;
    let quota = client_quota_body(&environment, &cluster, &["<default>"]);
    let client_quota = rest.post("/kafka-quotas/v1/client-quotas", quota).await.expect(202).text_at("/id");
    let session = rest.create_user("person@example.com", PASSWORD).await.1;
    let binding = rest.bind_role(&account, "MetricsViewer", &crn).await;
    Ids {
        organization: organization.organization_id.to_string(),
        environment,
        cluster,
        account,
        user: organization.user_id.to_string(),
        key,
        binding,
        session,
        event,
        client_quota,
    }
}

/// The id that a path with a parameter takes, of these; none if the path is unknown here.
pub(crate) fn object_id(template: &str, ids: &Ids) -> Option<String> {
    let id = match template.trim_end_matches("/{id}") {
        "/org/v2/organizations" => &ids.organization,
        "/org/v2/environments" | "/service-quota/v1/scopes" => &ids.environment,
        "/iam/v2/service-accounts" => &ids.account,
        "/iam/v2/api-keys" => &ids.key,
        "/iam/v2/users" => &ids.user,
        "/iam/v2/sessions" => &ids.session,
        "/iam/v2/role-bindings" => &ids.binding,
        "/kafka-quotas/v1/client-quotas" => &ids.client_quota,
        "/service-quota/v1/applied-quotas" => "kafka.max_api_keys.per_cluster",
        "/audit/v1/events" => &ids.event,
        "/cmk/v2/clusters" => &ids.cluster,
        _ => return None,
    };
    Some(id.to_owned())
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
        session: "5f0d6d1c-0000-4000-8000-000000000001".into(),
        event: "5f0d6d1c-0000-4000-8000-000000000001".into(),
        client_quota: "cq-n0body00".into(),
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
    for id in ids.into_iter().chain([&sent.binding, &sent.client_quota, &sent.session]) {
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
        let own = make_objects(&installation, acme, &installation.organization).await;
        let theirs = make_objects(&installation, &globex, &globex_organization).await;
        let nobodys = nobodys_ids();
        let before = snapshot(&globex, &theirs).await;

        let document: Value = serde_json::from_str(&millstream_control_plane::openapi_document()).expect("JSON");
        let (foreign, random) = (cases(&own, &theirs), cases(&own, &nobodys));
        for (path, item) in document["paths"].as_object().expect("paths") {
            for method in item.as_object().expect("operations").keys() {
                let operation = format!("{method} {path}");
                let foreign = foreign.get(operation.as_str());
                let foreign = foreign.unwrap_or_else(|| panic!("{operation} has no row in this test"));
                let takes_ids = path.contains("{id}") || path.contains("{cluster_id}");
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
