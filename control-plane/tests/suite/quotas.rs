//! Count quotas: exact, named when exceeded, and given back with whatever is deleted.

use serde_json::json;
use tokio::task::JoinSet;

use crate::fixture::rest::{cloud_key_body, kafka_key_body};
use crate::fixture::{Answer, Engine, Installation, Rest, postgres};

/// Checks that an answer is a refusal which names the quota, its limit and its usage, and where it points.
fn check_refusal(answer: Answer, code: &str, limit: i64, used: i64, pointer: &str) {
    let answer = answer.expect(402);
    assert_eq!(answer.text_at("/errors/0/code"), "quota_exceeded", "{}", answer.text);
    assert_eq!(answer.text_at("/errors/0/source/pointer"), pointer);
    let detail = answer.text_at("/errors/0/detail");
    assert!(detail.contains(code), "{detail}");
    assert!(detail.contains(&format!("{used} of {limit} are in use")), "{detail}");
}

/// Checks that every counter says what there is.
async fn check_counters(installation: &Installation) {
    let wrong = installation.control_plane().wrong_quota_counters().await.expect("they are counted");
    assert_eq!(wrong, Vec::<String>::new());
    // And none was put right meanwhile.
    installation.wait_for_metric("millstream_recount_repairs_total{counter=\"quota\"} 0").await;
}

async fn create_environments(rest: &Rest, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(rest.create_environment(&format!("environment {number}")).await);
    }
    ids
}

on_both_engines! {
    async fn the_26th_environment_is_refused_until_one_is_deleted(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environments = create_environments(rest, 25).await;
        let one_more = || rest.post("/org/v2/environments", json!({"display_name": "one more"}));
        check_refusal(one_more().await, "iam.max_environments.per_org", 25, 25, "");
        let (_, other) = installation.another_organization().await;
        other.create_environment("another organization has a quota of its own").await;
        rest.delete(&format!("/org/v2/environments/{}", environments[0])).await.expect(204);
        one_more().await.expect(201);
        check_refusal(one_more_named(rest, "two more").await, "iam.max_environments.per_org", 25, 25, "");
    }

    async fn what_is_refused_for_another_reason_takes_no_place(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        create_environments(rest, 24).await;
        for _ in 0..3 {
            let taken = serde_json::json!({"display_name":"environment 0","worded":"in another way"});
            rest.post("/org/v2/environments", taken).await.expect(409);
        }
        one_more_named(rest, "the 25th").await.expect(201);
    }

    async fn clusters_that_are_being_made_are_limited_until_they_are_ready(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        for number in 0..3 {
            rest.create_cluster(&environment, &format!("cluster {number}")).await;
        }
        let refused = rest.post_cluster(&environment, "one more").await;
        check_refusal(refused, "kafka.max_pending_kafka_clusters.per_env", 3, 3, "/spec/environment/id");
        let (_agent, _broker) = installation.fleet().await;
        let clusters = rest.get(&format!("/cmk/v2/clusters?environment={environment}")).await.expect(200).json();
        for cluster in clusters["data"].as_array().expect("a list") {
            rest.wait_provisioned(&environment, cluster["id"].as_str().expect("an id")).await;
        }
        rest.create_cluster(&environment, "one more").await;
    }

    async fn a_pending_cluster_that_is_deleted_makes_room(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        for round in 0..5 {
            let cluster = rest.create_cluster(&environment, &format!("cluster {round}")).await;
            rest.delete(&format!("/cmk/v2/clusters/{cluster}?environment={environment}")).await.expect(204);
        }
    }

    async fn twenty_clusters_can_be_made_per_day_however_many_are_deleted(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        for number in 0..20 {
            let cluster = rest.create_cluster(&environment, &format!("cluster {number}")).await;
            rest.delete(&format!("/cmk/v2/clusters/{cluster}?environment={environment}")).await.expect(204);
        }
        let refused = rest.post_cluster(&environment, "one more").await;
        check_refusal(refused, "kafka.max_kafka_creation.per_day", 20, 20, "");
    }

    async fn counters_say_what_there_is_after_everything_was_made_and_some_deleted(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, _broker) = installation.fleet().await;
        let rest = &installation.rest;
        let mut deletions = Vec::new();
        for name in ["kept", "deleted"] {
            let environment = rest.create_environment(name).await;
            let cluster = rest.create_cluster(&environment, name).await;
            rest.wait_provisioned(&environment, &cluster).await;
            let account = rest.create_service_account(name).await;
            rest.create_kafka_key(&account, &cluster).await;
            rest.post("/iam/v2/api-keys", cloud_key_body(&account)).await.expect(202);
            let user = installation.organization.user_id.to_string();
            rest.post("/iam/v2/api-keys", kafka_key_body(&user, &cluster)).await.expect(202);
            let organization = installation.organization.organization_id;
            let crn = format!("crn://confluent.cloud/organization={organization}/environment={environment}");
            let mut binding = String::new();
            for pattern in [crn.clone(), format!("{crn}/cloud-cluster={cluster}")] {
                let role = if pattern == crn { "EnvironmentAdmin" } else { "CloudClusterAdmin" };
                let principal = format!("User:{user}");
                let body = json!({"principal": principal, "role_name": role, "crn_pattern": pattern});
                binding = rest.post("/iam/v2/role-bindings", body).await.expect(201).text_at("/id");
                let body = json!({
                    "principal": format!("User:{account}"), "role_name": role, "crn_pattern": pattern,
                });
                rest.post("/iam/v2/role-bindings", body).await.expect(201);
            }
            deletions = vec![
                format!("/iam/v2/role-bindings/{binding}"),
                format!("/iam/v2/service-accounts/{account}"),
                format!("/cmk/v2/clusters/{cluster}?environment={environment}"),
                format!("/org/v2/environments/{environment}"),
            ];
            check_counters(&installation).await;
        }
        for path in deletions {
            let answer = rest.delete(&path).await;
            assert!([200, 204].contains(&answer.status), "{path}: {}", answer.text);
            check_counters(&installation).await;
        }
    }

    async fn a_user_has_ten_keys_of_each_kind(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let user = installation.organization.user_id.to_string();
        // One exists: that of this client.
        for _ in 0..9 {
            rest.post("/iam/v2/api-keys", cloud_key_body(&user)).await.expect(202);
        }
        let refused = rest.post("/iam/v2/api-keys", cloud_key_body(&user)).await;
        check_refusal(refused, "iam.max_cloud_api_keys.per_user", 10, 10, "/spec/owner/id");
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        for _ in 0..10 {
            rest.post("/iam/v2/api-keys", kafka_key_body(&user, &cluster)).await.expect(202);
        }
        let refused = rest.post("/iam/v2/api-keys", kafka_key_body(&user, &cluster)).await;
        check_refusal(refused, "iam.max_cluster_api_keys.per_user", 10, 10, "/spec/owner/id");
    }

    async fn deleting_a_cluster_gives_back_the_keys_of_their_owners(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let user = installation.organization.user_id.to_string();
        let environment = rest.create_environment("staging").await;
        for round in 0..2 {
            let cluster = rest.create_cluster(&environment, &format!("cluster {round}")).await;
            for _ in 0..10 {
                rest.post("/iam/v2/api-keys", kafka_key_body(&user, &cluster)).await.expect(202);
            }
            rest.delete(&format!("/cmk/v2/clusters/{cluster}?environment={environment}")).await.expect(204);
        }
    }

    async fn deleting_a_service_account_gives_back_the_keys_of_its_cluster(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        for round in 0..2 {
            let account = rest.create_service_account(&format!("app {round}")).await;
            for _ in 0..50 {
                rest.create_kafka_key(&account, &cluster).await;
            }
            let refused = rest.post("/iam/v2/api-keys", kafka_key_body(&account, &cluster)).await;
            check_refusal(refused, "kafka.max_api_keys.per_cluster", 50, 50, "/spec/resource/id");
            rest.delete(&format!("/iam/v2/service-accounts/{account}")).await.expect(204);
        }
    }

    async fn deleting_a_key_makes_room_for_one(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let account = rest.create_service_account("app").await;
        let mut key = String::new();
        for _ in 0..100 {
            key = rest.post("/iam/v2/api-keys", cloud_key_body(&account)).await.expect(202).text_at("/id");
        }
        let one_more = || rest.post("/iam/v2/api-keys", cloud_key_body(&account));
        check_refusal(one_more().await, "iam.max_cloud_api_keys.per_service_account", 100, 100, "/spec/owner/id");
        rest.delete(&format!("/iam/v2/api-keys/{key}")).await.expect(204);
        one_more().await.expect(202);
        one_more().await.expect(402);
    }
}

async fn one_more_named(rest: &Rest, name: &str) -> Answer {
    rest.post("/org/v2/environments", json!({"display_name": name})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_creates_at_three_replicas_make_exactly_as_many_as_the_quota_allows() {
    if !postgres::is_available() {
        return;
    }
    let installation = Installation::start(Engine::Postgres).await;
    let (second, second_rest) = installation.another_replica().await;
    let (third, third_rest) = installation.another_replica().await;
    let replicas = [installation.rest.clone(), second_rest, third_rest];
    let mut requests = JoinSet::new();
    for number in 0..200 {
        let rest = replicas[number % replicas.len()].clone();
        requests.spawn(async move {
            // Busy is no answer to the question: ask again until there is one.
            loop {
                let answer = one_more_named(&rest, &format!("environment {number}")).await;
                if answer.status != 503 {
                    return answer.status;
                }
            }
        });
    }
    let statuses = requests.join_all().await;
    let made = statuses.iter().filter(|status| **status == 201).count();
    let refused = statuses.iter().filter(|status| **status == 402).count();
    assert_eq!((made, refused), (25, 175), "{statuses:?}");
    let listed = installation.rest.get("/org/v2/environments").await.expect(200).json();
    assert_eq!(listed["metadata"]["total_size"], 25);
    second.shutdown().await;
    third.shutdown().await;
}
