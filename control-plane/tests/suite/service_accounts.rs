//! iam/v2 service accounts.

use serde_json::json;

use crate::fixture::rest::cloud_key_body;
use crate::fixture::{Engine, Installation};

on_both_engines! {
    async fn deleting_a_service_account_deletes_its_keys_everywhere(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let account = rest.create_service_account("app").await;
        let survivor = rest.create_service_account("other").await;
        let (kafka_key, secret) = rest.create_kafka_key(&account, &cluster).await;
        let (other_key, other_secret) = rest.create_kafka_key(&survivor, &cluster).await;
        let cloud_key = rest.post("/iam/v2/api-keys", cloud_key_body(&account)).await.expect(202);
        let with_cloud_key = rest.with_key(&cloud_key.text_at("/id"), &cloud_key.text_at("/spec/secret"));
        with_cloud_key.get("/org/v2/environments").await.expect(200);
        assert!(broker.image().authenticates(&kafka_key, &secret));

        rest.delete(&format!("/iam/v2/service-accounts/{account}")).await.expect(204);
        assert!(!broker.image().authenticates(&kafka_key, &secret));
        assert!(broker.image().authenticates(&other_key, &other_secret));
        with_cloud_key.get("/org/v2/environments").await.expect_error(401);
        rest.get(&format!("/iam/v2/api-keys/{kafka_key}")).await.expect_error(404);
        rest.get(&format!("/iam/v2/service-accounts/{account}")).await.expect_error(404);
    }

    async fn service_accounts_are_found_by_any_of_several_names(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        for name in ["a & b", "c", "d"] {
            rest.create_service_account(name).await;
        }
        let path = "/iam/v2/service-accounts?display_name=a%20%26%20b&display_name=d&page_size=1";
        let page = rest.get(path).await.expect(200);
        assert_eq!(page.text_at("/data/0/display_name"), "a & b");
        assert_eq!(page.json()["metadata"]["total_size"], json!(2));
        let next = rest.get(&page.text_at("/metadata/next")).await.expect(200);
        assert_eq!(next.text_at("/data/0/display_name"), "d");
        assert!(next.json()["metadata"].get("next").is_none());
    }

    async fn a_name_that_is_taken_is_refused(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        rest.create_service_account("app").await;
        let again = rest.post("/iam/v2/service-accounts", json!({"display_name":"app"})).await;
        assert_eq!(again.expect_error(409), "/display_name");
    }
}
