//! Who may call what, at the front door: every role at every scope that it can be bound to, every operation of the OpenAPI
//! document, objects within the scope, beside it, and of another organization.
//!
//! What is expected comes from the table of `domain/authorization.rs`. An operation without a row here fails the test.
//! Nothing is really changed: requests that may change an object carry an `If-Match` that no object has, so that whoever
//! is allowed gets 412.

use std::collections::BTreeSet;

use millstream_api::crn::{CrnPattern, Scope};
use millstream_api::fleet::HttpAnswer;
use millstream_api::ids::{EnvironmentId, LogicalClusterId, Principal, ServiceAccountId};
use millstream_api::role::Role;
use millstream_control_plane::authorization::{Action, Decision, Grants, Target};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::fixture::document::{Operation, operations};
use crate::fixture::rest::{client_quota_body, cluster_body, kafka_key_body, role_binding_body};
use crate::fixture::{Answer, Engine, Installation, Rest};
use crate::isolation::{Ids, cases, make_objects, object_id};

/// Operations that ask nobody who calls.
const PUBLIC: &[&str] = &["get /health", "get /.well-known/jwks.json", "post /iam/v2/sessions"];
/// What is about the organization, and what it asks for.
const OF_ORGANIZATION: &[(&str, Action)] = &[
    ("get /org/v2/organizations", Action::ViewOrganization),
    ("get /org/v2/organizations/{id}", Action::ViewOrganization),
    ("post /org/v2/environments", Action::CreateEnvironment),
    ("post /iam/v2/service-accounts", Action::CreateServiceAccount),
    ("post /iam/v2/users", Action::CreateUser),
    ("get /service-quota/v1/applied-quotas", Action::ViewQuotas),
    ("get /service-quota/v1/applied-quotas/{id}", Action::ViewQuotas),
    ("get /service-quota/v1/scopes", Action::ViewOrganization),
    ("get /service-quota/v1/scopes/{id}", Action::ViewOrganization),
    ("get /audit/v1/events", Action::ViewAuditLog),
    ("get /audit/v1/events/{id}", Action::ViewAuditLog),
];
/// Lists that show everybody what it may see.
const FILTERED: &[&str] = &[
    "get /org/v2/environments",
    "get /iam/v2/service-accounts",
    "get /iam/v2/users",
    "get /iam/v2/api-keys",
    "get /iam/v2/role-bindings",
];
/// A quota of the organization.
const QUOTA_CODE: &str = "iam.max_service_accounts.per_org";

/// A cluster and what belongs to it.
struct Place {
    environment: EnvironmentId,
    cluster: LogicalClusterId,
    /// Owner of the key.
    account: ServiceAccountId,
    /// Who is bound to the cluster.
    bound: ServiceAccountId,
    ids: Ids,
}

impl Place {
    fn cluster(&self) -> Target<'_> {
        Target::Cluster(&self.environment, &self.cluster)
    }

    fn scope(&self) -> Scope {
        Scope::Cluster(self.environment.clone(), self.cluster.clone())
    }

    /// A new Dedicated cluster in an environment, and one of everything that belongs to it.
    async fn make(rest: &Rest, installation: &Installation, environment: &str, name: &str) -> Self {
        let cluster = rest.create_cluster(environment, name).await;
        installation
            .run_statement(&format!("UPDATE logical_clusters SET kind = 'Dedicated', units = 1 WHERE id = '{cluster}'"))
            .await;
        let account = rest.create_service_account(name).await;
        let bound = rest.create_service_account(&format!("{name} bound")).await;
        let organization = &installation.organization;
        let crn = format!(
            "crn://confluent.cloud/organization={}/environment={environment}/cloud-cluster={cluster}",
            organization.organization_id
        );
        let quota = client_quota_body(environment, &cluster, &[&account]);
        let made = rest.post("/kafka-quotas/v1/client-quotas", quota).await.expect(202);
        let ids = Ids {
            organization: organization.organization_id.to_string(),
            environment: environment.to_owned(),
            key: rest.create_kafka_key(&account, &cluster).await.0,
            binding: rest.bind_role(&bound, "MetricsViewer", &crn).await,
            session: "5f0d6d1c-0000-4000-8000-000000000001".into(),
            event: made.headers["x-request-id"].to_str().expect("text").to_owned(),
            client_quota: made.text_at("/id"),
            user: organization.user_id.to_string(),
            account: account.clone(),
            cluster: cluster.clone(),
        };
        let parse = |text: &str| text.parse().expect("an id");
        Self {
            environment: environment.parse().expect("an id"),
            cluster: cluster.parse().expect("an id"),
            account: parse(&account),
            bound: parse(&bound),
            ids,
        }
    }
}

/// What an operation on an object of a place asks for.
fn asked<'a>(
    name: &str,
    place: &'a Place,
    scope: &'a Scope,
    owner: &'a Principal,
    bound: &'a Principal,
) -> Option<(Action, Target<'a>)> {
    let key = Target::ApiKey(owner, Some((&place.environment, &place.cluster)));
    let binding = Target::RoleBinding(bound, scope);
    let environment = Target::Environment(&place.environment);
    let account = Target::ServiceAccount(&place.account);
    let asked = match name {
        "get /org/v2/environments/{id}" | "get /cmk/v2/clusters" => (Action::ViewEnvironment, environment),
        "patch /org/v2/environments/{id}" => (Action::ChangeEnvironment, environment),
        "delete /org/v2/environments/{id}" => (Action::DeleteEnvironment, environment),
        "get /iam/v2/service-accounts/{id}" => (Action::ViewServiceAccount, account),
        "patch /iam/v2/service-accounts/{id}" => (Action::ChangeServiceAccount, account),
        "delete /iam/v2/service-accounts/{id}" => (Action::DeleteServiceAccount, account),
        "get /iam/v2/api-keys/{id}" => (Action::ViewApiKey, key),
        "post /iam/v2/api-keys" | "patch /iam/v2/api-keys/{id}" | "delete /iam/v2/api-keys/{id}" => {
            (Action::ManageApiKey, key)
        }
        "get /iam/v2/role-bindings/{id}" => (Action::ViewRoleBinding, binding),
        "post /iam/v2/role-bindings" | "delete /iam/v2/role-bindings/{id}" => (Action::ManageRoleBinding, binding),
        "post /cmk/v2/clusters" => (Action::CreateCluster, environment),
        "get /cmk/v2/clusters/{id}" => (Action::ViewCluster, place.cluster()),
        "patch /cmk/v2/clusters/{id}" => (Action::ChangeCluster, place.cluster()),
        "delete /cmk/v2/clusters/{id}" => (Action::DeleteCluster, place.cluster()),
        "get /kafka-quotas/v1/client-quotas" | "get /kafka-quotas/v1/client-quotas/{id}" => {
            (Action::ViewClientQuota, place.cluster())
        }
        "post /kafka-quotas/v1/client-quotas"
        | "patch /kafka-quotas/v1/client-quotas/{id}"
        | "delete /kafka-quotas/v1/client-quotas/{id}" => (Action::ManageClientQuota, place.cluster()),
        "get /v2/metrics/cloud/export" => (Action::ViewMetrics, place.cluster()),
        _ => return None,
    };
    Some(asked)
}

/// A request that is right but for the rights of its caller.
fn request(operation: &Operation, place: &Place, caller: &str) -> (String, Option<Value>) {
    let ids = &place.ids;
    let path = operation.path_with(|name| match name {
        "id" if operation.path.starts_with("/service-quota/v1/applied-quotas") => QUOTA_CODE.into(),
        "id" if operation.path.starts_with("/service-quota/v1/scopes") => "ORGANIZATION".into(),
        "id" => object_id(&operation.path, ids).unwrap_or_else(|| panic!("{} has no id here", operation.name())),
        "cluster_id" => ids.cluster.clone(),
        "partition_id" | "broker_id" => "0".into(),
        _ => "x".into(),
    });
    let query = match operation.path.as_str() {
        "/service-quota/v1/applied-quotas" => "?scope=ORGANIZATION".to_owned(),
        "/cmk/v2/clusters" if operation.method == "get" => format!("?environment={}", ids.environment),
        "/cmk/v2/clusters/{id}" => format!("?environment={}", ids.environment),
        "/kafka-quotas/v1/client-quotas" if operation.method == "get" => {
            format!("?spec.cluster={}&environment={}", ids.cluster, ids.environment)
        }
        "/v2/metrics/cloud/export" => format!("?resource.kafka.id={}", ids.cluster),
        "/iam/v2/role-bindings" if operation.method == "get" => {
            format!("?page_size=100&crn_pattern=crn://confluent.cloud/organization={}", ids.organization)
        }
        _ if FILTERED.contains(&operation.name().as_str()) => "?page_size=100".to_owned(),
        _ => String::new(),
    };
    let named = json!({"display_name": format!("made by {caller}")});
    let body = match operation.name().as_str() {
        "post /iam/v2/users" => Some(json!({"email": format!("{caller}@example.com")})),
        "post /iam/v2/api-keys" => Some(kafka_key_body(&ids.account, &ids.cluster)),
        "post /iam/v2/role-bindings" => {
            let crn = format!(
                "crn://confluent.cloud/organization={}/environment={}/cloud-cluster={}",
                ids.organization, ids.environment, ids.cluster
            );
            Some(role_binding_body(place.bound.as_str(), "Operator", &crn))
        }
        "post /cmk/v2/clusters" => Some(cluster_body(&ids.environment, &format!("made by {caller} {}", ids.cluster))),
        "post /kafka-quotas/v1/client-quotas" => {
            Some(client_quota_body(&ids.environment, &ids.cluster, &[place.bound.as_str()]))
        }
        "patch /cmk/v2/clusters/{id}" => {
            Some(json!({"spec": {"display_name": "x", "environment": {"id": ids.environment}}}))
        }
        "patch /kafka-quotas/v1/client-quotas/{id}" | "patch /iam/v2/api-keys/{id}" => {
            Some(json!({"spec": {"display_name": "x"}}))
        }
        "patch /iam/v2/users/{id}" => Some(json!({"full_name": "x"})),
        _ if operation.is_forwarded() || !["post", "patch"].contains(&operation.method.as_str()) => None,
        _ => Some(named),
    };
    (format!("{path}{query}"), body)
}

async fn send(rest: &Rest, operation: &Operation, (path, body): (String, Option<Value>)) -> Answer {
    let is_change = ["patch", "delete"].contains(&operation.method.as_str()) && !operation.is_forwarded();
    let headers: &[(&str, &str)] = if is_change { &[("if-match", "\"no such version\"")] } else { &[] };
    rest.send(&operation.method.to_uppercase(), &path, headers, body.map(|body| body.to_string().into_bytes())).await
}

/// What is wrong if the answer is not what was decided.
fn check(what: &str, method: &str, decision: Decision, answer: &Answer) -> Option<String> {
    let expected: &[u16] = match (decision, method) {
        (Decision::Allowed, "get") => &[200],
        // The second caller that may make something finds it made.
        (Decision::Allowed, "post") => &[200, 201, 202, 402, 409],
        (Decision::Allowed, _) => &[200, 412],
        // What a new object refers to may be hidden where the object itself would be forbidden.
        (_, "post") => &[403, 404],
        (Decision::Forbidden, _) => &[403],
        (Decision::Hidden, _) => &[404],
    };
    let is_right = expected.contains(&answer.status);
    (!is_right).then(|| format!("{what}: {decision:?}, but {} {}", answer.status, answer.text))
}

/// One role at one scope, called by somebody who has nothing else.
struct Subject {
    name: String,
    grants: Grants,
    rest: Rest,
}

impl Subject {
    /// Calls every operation on every place. Returns what was answered in another way than the table says.
    async fn call_everything(&self, places: &[Place]) -> Vec<String> {
        let mut wrong = Vec::new();
        for operation in operations() {
            let name = operation.name();
            if PUBLIC.contains(&name.as_str()) {
                continue;
            }
            if let Some((_, action)) = OF_ORGANIZATION.iter().find(|(known, _)| *known == name) {
                let answer = send(&self.rest, &operation, request(&operation, &places[0], &self.name)).await;
                let decision = self.grants.decide(*action, Target::Organization);
                wrong.extend(check(&format!("{}: {name}", self.name), &operation.method, decision, &answer));
            } else if FILTERED.contains(&name.as_str()) {
                let list = send(&self.rest, &operation, request(&operation, &places[0], &self.name)).await.expect(200);
                wrong.extend(self.check_list(&operation.path, &list, places));
            } else {
                for place in places {
                    wrong.extend(self.call(&operation, place).await);
                }
            }
        }
        wrong
    }

    async fn call(&self, operation: &Operation, place: &Place) -> Option<String> {
        let name = operation.name();
        let answer = send(&self.rest, operation, request(operation, place, &self.name)).await;
        let what = format!("{}: {name} in {}", self.name, place.cluster);
        let user = place.ids.user.parse().expect("an id");
        let decision = match name.as_str() {
            "get /iam/v2/users/{id}" => self.grants.decide(Action::ViewUser, Target::User(&user)),
            "patch /iam/v2/users/{id}" => self.grants.decide(Action::ChangeUser, Target::User(&user)),
            "delete /iam/v2/users/{id}" => self.grants.decide(Action::DeleteUser, Target::User(&user)),
            // Nobody ends the session of another.
            "delete /iam/v2/sessions/{id}" => Decision::Hidden,
            // A Cloud key has no cluster of its own.
            "get /kafka/v3/clusters" => Decision::Hidden,
            _ if operation.is_forwarded() => {
                let sees = self.grants.decide(Action::ViewCluster, place.cluster());
                // What is done inside of the cluster is the brokers' decision.
                let expected = if sees == Decision::Allowed { 200 } else { 404 };
                return (answer.status != expected).then(|| format!("{what}: {sees:?}, but {}", answer.status));
            }
            _ => {
                let (scope, owner) = (place.scope(), Principal::ServiceAccount(place.account.clone()));
                let bound = Principal::ServiceAccount(place.bound.clone());
                let asked = asked(&name, place, &scope, &owner, &bound);
                let (action, target) = asked.unwrap_or_else(|| panic!("{name} has no row in this test"));
                match self.grants.decide(action, target) {
                    // A new object refers to others, which must be seen.
                    Decision::Allowed if operation.method == "post" && !self.sees(place, &name) => Decision::Hidden,
                    decision => decision,
                }
            }
        };
        check(&what, &operation.method, decision, &answer)
    }

    /// Whether the caller sees what a new object of this operation refers to.
    fn sees(&self, place: &Place, name: &str) -> bool {
        let account = match name {
            "post /iam/v2/api-keys" => &place.account,
            "post /iam/v2/role-bindings" | "post /kafka-quotas/v1/client-quotas" => &place.bound,
            _ => return true,
        };
        let sees = |action, target| self.grants.decide(action, target) == Decision::Allowed;
        sees(Action::ViewServiceAccount, Target::ServiceAccount(account)) && sees(Action::ViewCluster, place.cluster())
    }

    /// What a list shows of the places that the caller may not see, and what it does not show though it may.
    fn check_list(&self, path: &str, list: &Answer, places: &[Place]) -> Vec<String> {
        let mut wrong = Vec::new();
        let data = list.json()["data"].as_array().expect("a list").clone();
        let shown: BTreeSet<&str> = data.iter().filter_map(|object| object["id"].as_str()).collect();
        for place in places {
            let (scope, owner) = (place.scope(), Principal::ServiceAccount(place.account.clone()));
            let bound = Principal::ServiceAccount(place.bound.clone());
            let user = place.ids.user.parse().expect("an id");
            let (id, decision) = match path {
                "/iam/v2/users" => (place.ids.user.clone(), self.grants.decide(Action::ViewUser, Target::User(&user))),
                _ => {
                    let name = format!("get {path}/{{id}}");
                    let (action, target) = asked(&name, place, &scope, &owner, &bound).expect("a row");
                    let id = object_id(&format!("{path}/{{id}}"), &place.ids).expect("an id");
                    (id, self.grants.decide(action, target))
                }
            };
            let is_shown = shown.contains(id.as_str());
            if is_shown != (decision == Decision::Allowed) {
                wrong.push(format!("{}: {id} in {path}: {decision:?}, but shown: {is_shown}", self.name));
            }
        }
        wrong
    }

    /// Calls every operation with ids of another organization.
    async fn call_elsewhere(&self, own: &Ids, theirs: &Ids) {
        // The caller's own refused requests are found by the ids that they named.
        let is_asked = |name: &str| name != "get /audit/v1/events" && !PUBLIC.contains(&name);
        for (name, row) in cases(own, theirs).into_iter().filter(|(name, _)| is_asked(name)) {
            for case in row {
                let method = name.split(' ').next().expect("a method").to_uppercase();
                let body = case.body.as_ref().map(|body| body.to_string().into_bytes());
                let answer = self.rest.send(&method, &case.path, &[], body).await;
                match answer.status {
                    200 => assert_eq!(answer.json()["data"], json!([]), "{}: {name} {}", self.name, case.path),
                    status => assert!([400, 401, 403, 404].contains(&status), "{}: {name}: {}", self.name, answer.text),
                }
            }
        }
    }
}

/// The scopes that a role might be bound to in a place.
fn crns(place: &Place) -> Vec<String> {
    let Ids { organization, environment, cluster, account, .. } = &place.ids;
    let root = format!("crn://confluent.cloud/organization={organization}");
    let on_cluster = format!("{root}/environment={environment}/cloud-cluster={cluster}");
    vec![
        format!("{root}/environment={environment}"),
        format!("{root}/service-account={account}"),
        format!("{on_cluster}/kafka={cluster}/topic=orders*"),
        on_cluster,
        root,
    ]
}

on_both_engines! {
    async fn every_role_at_every_scope_may_do_what_the_table_says_and_nothing_else(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, mut broker) = installation.fleet().await;
        broker.take_requests(|request| Some(HttpAnswer { id: request.id, status: 200, ..HttpAnswer::default() })).await;
        let rest = &installation.rest;
        let (first, second) = (rest.create_environment("first").await, rest.create_environment("second").await);
        let mut places = Vec::new();
        for (environment, name) in [(&first, "within"), (&first, "beside"), (&second, "elsewhere")] {
            places.push(Place::make(rest, &installation, environment, name).await);
        }
        let (globex_organization, globex) = installation.another_organization().await;
        let theirs = make_objects(&installation, &globex, &globex_organization).await;

        let mut subjects = Vec::new();
        for role in Role::ALL {
            for crn in crns(&places[0]) {
                let scope = crn.parse::<CrnPattern>().expect("a CRN").scope;
                if !role.may_be_bound_to(&scope) {
                    continue;
                }
                let name = format!("{role}-{}", subjects.len());
                let account = rest.create_service_account(&name).await;
                rest.bind_role(&account, role.as_str(), &crn).await;
                let principal = Principal::ServiceAccount(account.parse().expect("an id"));
                let grants = Grants { principal, roles: vec![(role, scope)] };
                subjects.push(Subject { name, grants, rest: rest.create_cloud_key(&account).await });
            }
        }
        assert!(subjects.len() >= 20, "only {} subjects", subjects.len());
        let (places, theirs) = (std::sync::Arc::new(places), std::sync::Arc::new(theirs));
        let mut calls = JoinSet::new();
        for subject in subjects {
            let (places, theirs) = (places.clone(), theirs.clone());
            calls.spawn(async move {
                subject.call_elsewhere(&places[0].ids, &theirs).await;
                subject.call_everything(&places).await
            });
        }
        let wrong = calls.join_all().await.concat();
        assert!(wrong.is_empty(), "{} calls were not answered as the table says:\n{}", wrong.len(), wrong.join("\n"));
    }
}
