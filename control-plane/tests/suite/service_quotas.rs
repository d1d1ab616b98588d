//! service-quota/v1 shows the limits that are enforced, and the operator changes them.

use millstream_control_plane::{QuotaChange, SetQuotaError, set_quota};
use serde_json::{Value, json};

use crate::fixture::{Engine, Installation, Rest};

const ENVIRONMENTS: &str = "iam.max_environments.per_org";
const APPLIED: &str = "/service-quota/v1/applied-quotas";

async fn set(installation: &Installation, code: &str, object: Option<&str>, limit: Option<u32>) {
    try_to_set(installation, code, object, limit).await.expect("it is set");
}

async fn try_to_set(
    installation: &Installation,
    code: &str,
    object: Option<&str>,
    limit: Option<u32>,
) -> Result<(), SetQuotaError> {
    let change = QuotaChange {
        organization: installation.organization.organization_id,
        code: code.into(),
        object: object.map(str::to_owned),
        limit,
    };
    set_quota(&installation.database, &change).await
}

/// default_limit, applied_limit and usage of one quota; `query` names its object.
async fn numbers(rest: &Rest, code: &str, query: &str) -> [i64; 3] {
    let applied = rest.get(&format!("{APPLIED}/{code}{query}")).await.expect(200).json();
    ["default_limit", "applied_limit", "usage"].map(|field| applied[field].as_i64().expect("a number"))
}

async fn create_environment(rest: &Rest, name: &str) -> u16 {
    rest.post("/org/v2/environments", json!({"display_name": name})).await.status
}

on_both_engines! {
    async fn a_raise_by_the_operator_holds_from_the_next_request_on(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        set(&installation, ENVIRONMENTS, None, Some(2)).await;
        assert_eq!(numbers(rest, ENVIRONMENTS, "").await, [25, 2, 0]);
        for name in ["a", "b"] {
            assert_eq!(create_environment(rest, name).await, 201);
        }
        assert_eq!(create_environment(rest, "c").await, 402);
        assert_eq!(numbers(rest, ENVIRONMENTS, "").await, [25, 2, 2]);
        set(&installation, ENVIRONMENTS, None, Some(3)).await;
        assert_eq!(create_environment(rest, "c").await, 201);
        assert_eq!(create_environment(rest, "d").await, 402);
        set(&installation, ENVIRONMENTS, None, None).await;
        assert_eq!(numbers(rest, ENVIRONMENTS, "").await, [25, 25, 3]);
        assert_eq!(create_environment(rest, "d").await, 201);
    }

    async fn a_limit_of_one_object_goes_before_that_of_every_object(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let code = "kafka.max_kafka_clusters.per_env";
        let (one, other) = (rest.create_environment("one").await, rest.create_environment("other").await);
        set(&installation, code, None, Some(0)).await;
        set(&installation, code, Some(&one), Some(1)).await;
        assert_eq!(numbers(rest, code, &format!("?environment={one}")).await, [20, 1, 0]);
        assert_eq!(numbers(rest, code, &format!("?environment={other}")).await, [20, 0, 0]);
        rest.post_cluster(&one, "a").await.expect(202);
        rest.post_cluster(&one, "b").await.expect(402);
        rest.post_cluster(&other, "a").await.expect(402);
    }

    async fn keys_of_a_cluster_have_the_limit_of_its_kind(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let query = format!("?kafka_cluster={cluster}");
        assert_eq!(numbers(rest, "kafka.max_api_keys.per_cluster", &query).await, [50, 50, 0]);
        let standard = json!({"spec":{"config":{"kind":"Standard"},"environment":{"id":environment}}});
        rest.patch(&format!("/cmk/v2/clusters/{cluster}"), standard).await.expect(200);
        assert_eq!(numbers(rest, "kafka.max_api_keys.per_cluster", &query).await, [100, 100, 0]);
    }

    async fn quotas_of_each_scope_are_listed_in_pages(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let account = rest.create_service_account("app").await;
        let user = installation.organization.user_id.to_string();
        let scopes = rest.get("/service-quota/v1/scopes").await.expect(200).json();
        let scopes: Vec<&str> =
            scopes["data"].as_array().expect("a list").iter().filter_map(|scope| scope["id"].as_str()).collect();
        assert_eq!(scopes, ["ORGANIZATION", "ENVIRONMENT", "KAFKA_CLUSTER", "SERVICE_ACCOUNT", "USER_ACCOUNT"]);
        for (scope, pointer, id) in [
            ("ORGANIZATION", "/organization/id", installation.organization.organization_id.to_string()),
            ("ENVIRONMENT", "/environment/id", environment.clone()),
            ("KAFKA_CLUSTER", "/kafka_cluster/id", cluster),
            ("SERVICE_ACCOUNT", "/service_account/id", account),
            ("USER_ACCOUNT", "/user/id", user),
        ] {
            let path = format!("{APPLIED}?scope={scope}&page_size=2");
            let (mut next, mut quotas) = (Some(path), Vec::<Value>::new());
            while let Some(path) = next {
                let page = rest.get(&path).await.expect(200).json();
                assert_eq!(page["kind"], "AppliedQuotaList");
                quotas.extend(page["data"].as_array().expect("a list").clone());
                next = page["metadata"]["next"].as_str().map(str::to_owned);
            }
            let whole = rest.get(&format!("{APPLIED}?scope={scope}&page_size=200")).await.expect(200).json();
            assert_eq!(whole["data"], json!(quotas), "{scope}");
            assert!(quotas.len() >= 2, "{scope}");
            for quota in &quotas {
                assert_eq!(quota["scope"], scope);
                assert_eq!(quota.pointer(pointer), Some(&json!(id)), "{quota}");
                let single = rest.get(quota["metadata"]["self"].as_str().expect("a link")).await.expect(200);
                assert_eq!(&single.json(), quota);
            }
        }
        let path = format!("{APPLIED}?scope=ENVIRONMENT&environment={environment}&id=kafka.max_ckus.per_env");
        assert_eq!(rest.get(&path).await.expect(200).json()["metadata"]["total_size"], 1);
        rest.get("/service-quota/v1/scopes/ORGANIZATION").await.expect(200);
        rest.get("/service-quota/v1/scopes/GALAXY").await.expect(404);
    }

    async fn what_is_missing_or_wrong_in_the_query_is_named(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        for (path, parameter) in [
            (APPLIED.to_owned(), "scope"),
            (format!("{APPLIED}?scope=GALAXY"), "scope"),
            (format!("{APPLIED}?scope=ORGANIZATION&page_size=201"), "page_size"),
            (format!("{APPLIED}?scope=ORGANIZATION&page_token=x"), "page_token"),
            (format!("{APPLIED}/kafka.max_ckus.per_env"), "environment"),
            (format!("{APPLIED}/kafka.max_api_keys.per_cluster"), "kafka_cluster"),
        ] {
            let answer = rest.get(&path).await.expect(400);
            assert_eq!(answer.text_at("/errors/0/source/parameter"), parameter, "{path}");
        }
        rest.get(&format!("{APPLIED}/no.such.quota")).await.expect(404);
    }

    async fn the_operator_is_told_what_does_not_exist(engine: Engine) {
        let installation = Installation::start(engine).await;
        let error = try_to_set(&installation, "no.such.quota", None, Some(1)).await.expect_err("refused");
        assert!(error.to_string().contains(ENVIRONMENTS), "{error}");
        let error = try_to_set(&installation, ENVIRONMENTS, Some("env-a"), Some(1)).await.expect_err("refused");
        assert!(matches!(error, SetQuotaError::NoObject { .. }), "{error}");
        let nobody = QuotaChange {
            organization: "5f0d6d1c-0000-4000-8000-000000000000".parse().expect("an id"),
            code: ENVIRONMENTS.into(),
            object: None,
            limit: Some(1),
        };
        let error = set_quota(&installation.database, &nobody).await.expect_err("refused");
        assert!(matches!(error, SetQuotaError::UnknownOrganization(_)), "{error}");
    }
}

#[tokio::test]
async fn the_operator_makes_no_database_by_mistake() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("mistyped.db");
    let change = QuotaChange {
        organization: "5f0d6d1c-0000-4000-8000-000000000000".parse().expect("an id"),
        code: ENVIRONMENTS.into(),
        object: None,
        limit: Some(1),
    };
    let database = millstream_control_plane::DatabaseUrl::Sqlite(path.clone());
    set_quota(&database, &change).await.expect_err("refused");
    assert!(!path.exists());
}
