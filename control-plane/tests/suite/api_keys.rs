//! iam/v2 API keys: usable when answered, refused when deleted.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::fixture::broker::{Acknowledging, Image};
use crate::fixture::rest::{cloud_key_body, kafka_key_body};
use crate::fixture::{Engine, FakeBroker, Installation, Rest};

/// An environment with a cluster and a service account.
async fn cluster_and_account(rest: &Rest) -> (String, String) {
    let environment = rest.create_environment("staging").await;
    let cluster = rest.create_cluster(&environment, "one").await;
    (cluster, rest.create_service_account("app").await)
}

on_both_engines! {
    async fn a_kafka_key_works_at_every_broker_when_its_post_is_answered(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, first) = installation.fleet().await;
        let address = installation.control_plane().fleet_address();
        let second = FakeBroker::connect(address, agent.desired(), 2).await;
        let rest = &installation.rest;
        let (cluster, account) = cluster_and_account(rest).await;
        for _ in 0..20 {
            let (key, secret) = rest.create_kafka_key(&account, &cluster).await;
            for broker in [&first, &second] {
                assert!(broker.image().authenticates(&key, &secret));
                assert!(!broker.image().authenticates(&key, "mlst-wrong"));
            }
            rest.delete(&format!("/iam/v2/api-keys/{key}")).await.expect(204);
            for broker in [&first, &second] {
                assert!(!broker.image().authenticates(&key, &secret));
            }
        }
    }

    async fn the_secret_is_long_has_its_prefix_and_is_shown_once(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let (cluster, account) = cluster_and_account(rest).await;
        for body in [kafka_key_body(&account, &cluster), cloud_key_body(&account)] {
            let created = rest.post("/iam/v2/api-keys", body).await.expect(202);
            let (key, secret) = (created.text_at("/id"), created.text_at("/spec/secret"));
            assert_eq!((secret.len(), &secret[..4]), (64, "mlst"));
            assert_eq!(created.headers["location"], created.text_at("/metadata/self"));
            let path = format!("/iam/v2/api-keys/{key}");
            let patched = rest.patch(&path, json!({"spec":{"display_name":"renamed"}})).await.expect(200);
            let read = rest.get(&path).await.expect(200);
            let list = rest.get("/iam/v2/api-keys?page_size=100").await.expect(200);
            assert_eq!(read.text_at("/spec/display_name"), "renamed");
            for later in [patched, read, list] {
                assert!(!later.text.contains(&secret) && !later.text.contains("secret"), "{}", later.text);
            }
        }
    }

    async fn a_broker_that_does_not_acknowledge_holds_the_answer_back_for_a_second_only(engine: Engine) {
        let installation = Installation::start(engine).await;
        let agent = installation.agent().await;
        let address = installation.control_plane().fleet_address();
        let silent =
            FakeBroker::connect_with(address, agent.desired(), 1, Image::default(), Acknowledging::Never).await;
        silent.wait_for(|image| image.snapshots == 1).await;
        let rest = &installation.rest;
        let (cluster, account) = cluster_and_account(rest).await;
        let began = Instant::now();
        rest.create_kafka_key(&account, &cluster).await;
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(5), "{took:?}");
    }

    async fn without_brokers_the_answer_comes_at_once(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let (cluster, account) = cluster_and_account(rest).await;
        let mut fastest = Duration::MAX;
        for _ in 0..10 {
            let began = Instant::now();
            rest.create_kafka_key(&account, &cluster).await;
            fastest = fastest.min(began.elapsed());
        }
        assert!(fastest < Duration::from_millis(500), "{fastest:?}");
    }

    async fn keys_are_found_by_owner_and_by_resource(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let (cluster, account) = cluster_and_account(rest).await;
        let other = rest.create_service_account("other").await;
        let (kafka_key, _) = rest.create_kafka_key(&account, &cluster).await;
        let cloud_key = rest.post("/iam/v2/api-keys", cloud_key_body(&other)).await.expect(202).text_at("/id");
        let first_key = installation.organization.cloud_api_key.to_string();
        let user = installation.organization.user_id.to_string();
        for (query, expected) in [
            (String::new(), vec![&first_key, &kafka_key, &cloud_key]),
            (format!("spec.owner={account}"), vec![&kafka_key]),
            (format!("spec.owner={user}"), vec![&first_key]),
            (format!("spec.resource={cluster}"), vec![&kafka_key]),
            ("spec.resource=cloud".into(), vec![&first_key, &cloud_key]),
            (format!("spec.owner={other}&spec.resource={cluster}"), vec![]),
        ] {
            let page = rest.get(&format!("/iam/v2/api-keys?{query}")).await.expect(200).json();
            let ids: Vec<String> = page["data"].as_array().expect("a list").iter()
                .map(|key| key["id"].as_str().expect("an id").to_owned()).collect();
            assert_eq!(ids.iter().collect::<Vec<_>>(), expected, "{query}");
        }
        assert_eq!(rest.get("/iam/v2/api-keys?spec.owner=me").await.expect_error(400), "spec.owner");
        assert_eq!(rest.get("/iam/v2/api-keys?spec.resource=x").await.expect_error(400), "spec.resource");
    }

    async fn a_user_can_own_keys(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let user = installation.organization.user_id.to_string();
        let body = json!({"spec":{"owner":{"id":user,"kind":"User"}}});
        let created = rest.post("/iam/v2/api-keys", body).await.expect(202);
        assert_eq!(created.text_at("/spec/owner/kind"), "User");
        assert_eq!(created.text_at("/spec/owner/id"), user);
    }

    async fn nobody_makes_a_key_with_which_he_could_do_more(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let (cluster, plain) = cluster_and_account(rest).await;
        let organization = format!("crn://confluent.cloud/organization={}", installation.organization.organization_id);
        let mut callers = Vec::new();
        for (name, role) in [("accounts", "AccountAdmin"), ("keys", "ResourceKeyAdmin")] {
            let account = rest.create_service_account(name).await;
            rest.bind_role(&account, role, &organization).await;
            callers.push(rest.create_cloud_key(&account).await);
        }
        let powerful = rest.create_service_account("powerful").await;
        rest.bind_role(&powerful, "OrganizationAdmin", &organization).await;
        let keys = "SELECT COUNT(*) FROM api_keys";
        installation.wait_for_number(keys, 3).await;
        for caller in &callers {
            let refused = caller.post("/iam/v2/api-keys", cloud_key_body(&powerful)).await;
            assert_eq!(refused.expect_error(403), "/spec/owner/id");
            assert!(refused.text.contains("the owner has roles that the caller does not have"), "{}", refused.text);
        }
        installation.wait_for_number(keys, 3).await;
        callers[0].post("/iam/v2/api-keys", cloud_key_body(&plain)).await.expect(202);
        // Keys of clusters are what a ResourceKeyAdmin makes.
        callers[1].post("/iam/v2/api-keys", kafka_key_body(&powerful, &cluster)).await.expect(202);
    }

    async fn the_own_key_can_be_deleted_and_then_opens_nothing(engine: Engine) {
        let installation = Installation::start(engine).await;
        let own = installation.organization.cloud_api_key.to_string();
        installation.rest.delete(&format!("/iam/v2/api-keys/{own}")).await.expect(204);
        installation.rest.get("/org/v2/environments").await.expect_error(401);
    }

    async fn a_key_is_on_the_broker_when_its_creation_is_answered(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let (cluster, account) = cluster_and_account(rest).await;
        for _ in 0..50 {
            let (key, secret) = rest.create_kafka_key(&account, &cluster).await;
            assert!(broker.image().authenticates(&key, &secret));
        }
    }
}
