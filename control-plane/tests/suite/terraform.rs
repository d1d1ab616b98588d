//! The requests of an often used Terraform provider, in its order and with its bodies, answered with what it needs.

use serde_json::json;

use crate::fixture::rest::{cloud_key_body, cluster_body, kafka_key_body};
use crate::fixture::{Engine, Installation};
use millstream_api::fleet::HttpAnswer;

on_both_engines! {
    async fn a_plan_is_applied_changed_and_destroyed(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, mut broker) = installation.fleet().await;
        broker
            .take_requests(|request| {
                let body = br#"{"kind":"KafkaTopicList","data":[]}"#.to_vec().into();
                Some(HttpAnswer { id: request.id, status: 200, content_type: "application/json".into(), body, ..HttpAnswer::default() })
            })
            .await;
        let cloud = &installation.rest;
        let organization = installation.organization.organization_id.to_string();

        // apply
        let answer = cloud.post("/org/v2/environments", json!({"display_name":"staging"})).await.expect(201);
        let environment = answer.text_at("/id");
        let crn = format!("crn://confluent.cloud/organization={organization}/environment={environment}");
        assert_eq!(answer.text_at("/metadata/resource_name"), crn);
        assert_eq!(answer.headers["location"], answer.text_at("/metadata/self"));
        assert!(answer.json().get("stream_governance_config").is_none());
        let read = cloud.get(&format!("/org/v2/environments/{environment}")).await.expect(200);
        assert_eq!(read.json(), answer.json());

        let body = json!({"display_name":"app-manager","description":"manages app"});
        let answer = cloud.post("/iam/v2/service-accounts", body).await.expect(201);
        let account = answer.text_at("/id");
        assert_eq!(answer.text_at("/api_version"), "iam/v2");
        assert_eq!(answer.text_at("/kind"), "ServiceAccount");
        cloud.get(&format!("/iam/v2/service-accounts/{account}")).await.expect(200);

        let answer = cloud.post("/iam/v2/api-keys", cloud_key_body(&account)).await.expect(202);
        let cloud_key = answer.text_at("/id");
        assert_eq!(answer.text_at("/spec/resource/kind"), "Cloud");
        let new_cloud = cloud.with_key(&cloud_key, &answer.text_at("/spec/secret"));
        new_cloud.get("/org/v2/environments").await.expect(200);
        let read = cloud.get(&format!("/iam/v2/api-keys/{cloud_key}")).await.expect(200);
        assert!(read.json()["spec"].get("secret").is_none());

        let answer = cloud.post("/cmk/v2/clusters", cluster_body(&environment, "basic1")).await.expect(202);
        let cluster = answer.text_at("/id");
        cloud.wait_provisioned(&environment, &cluster).await;
        let read = cloud.get_cluster(&environment, &cluster).await.expect(200);
        assert_eq!(read.text_at("/api_version"), "cmk/v2");
        assert_eq!(read.text_at("/kind"), "Cluster");
        assert_eq!(read.text_at("/metadata/resource_name"), format!("{crn}/cloud-cluster={cluster}/kafka={cluster}"));
        assert_eq!(read.text_at("/spec/display_name"), "basic1");
        assert_eq!(read.text_at("/spec/availability"), "SINGLE_ZONE");
        assert_eq!(read.text_at("/spec/cloud"), "AWS");
        assert_eq!(read.text_at("/spec/region"), "us-east-2");
        assert_eq!(read.text_at("/spec/config/kind"), "Basic");
        assert_eq!(read.text_at("/spec/environment/id"), environment);
        assert_eq!(read.text_at("/spec/kafka_bootstrap_endpoint"), "kafka.test:9092");

        let answer = cloud.post("/iam/v2/api-keys", kafka_key_body(&account, &cluster)).await.expect(202);
        let kafka_key = answer.text_at("/id");
        assert_eq!(answer.text_at("/spec/owner/id"), account);
        assert_eq!(answer.text_at("/spec/owner/kind"), "ServiceAccount");
        assert_eq!(answer.text_at("/spec/owner/api_version"), "iam/v2");
        assert_eq!(answer.text_at("/spec/resource/id"), cluster);
        assert_eq!(answer.text_at("/spec/resource/kind"), "Cluster");
        assert_eq!(answer.text_at("/spec/resource/api_version"), "cmk/v2");
        let http_endpoint = read.text_at("/spec/http_endpoint");
        let kafka = cloud.with_key(&kafka_key, &answer.text_at("/spec/secret"));
        for _ in 0..2 {
            kafka.get(&format!("{http_endpoint}/kafka/v3/clusters/{cluster}/topics")).await.expect(200);
        }

        // data sources
        for list in ["environments", "environments?page_size=99"] {
            cloud.get(&format!("/org/v2/{list}")).await.expect(200);
        }
        cloud.get(&format!("/cmk/v2/clusters?environment={environment}&page_size=99")).await.expect(200);
        let found = cloud.get("/iam/v2/service-accounts?display_name=app-manager").await.expect(200).json();
        assert_eq!(found["data"].as_array().expect("a list").len(), 1);

        // changes
        let changed = cloud.patch(&format!("/org/v2/environments/{environment}"), json!({"display_name":"staging2"})).await;
        assert_eq!(changed.expect(200).text_at("/display_name"), "staging2");
        let body = json!({"description":"manages app 2"});
        let changed = cloud.patch(&format!("/iam/v2/service-accounts/{account}"), body).await.expect(200);
        assert_eq!(changed.text_at("/description"), "manages app 2");
        assert_eq!(changed.text_at("/display_name"), "app-manager");
        let body = json!({"spec":{"description":"Kafka key 2"}});
        let changed = cloud.patch(&format!("/iam/v2/api-keys/{kafka_key}"), body).await.expect(200);
        assert_eq!(changed.text_at("/spec/description"), "Kafka key 2");
        let body = json!({"spec":{"display_name":"basic2","environment":{"id":environment,"related":"","resource_name":""}}});
        let changed = cloud.patch(&format!("/cmk/v2/clusters/{cluster}"), body).await.expect(200);
        assert_eq!(changed.text_at("/spec/display_name"), "basic2");

        // destroy
        cloud.delete(&format!("/iam/v2/api-keys/{cloud_key}")).await.expect(204);
        new_cloud.get("/org/v2/environments").await.expect_error(401);
        cloud.delete(&format!("/iam/v2/api-keys/{kafka_key}")).await.expect(204);
        cloud.get(&format!("/iam/v2/api-keys/{kafka_key}")).await.expect_error(404);
        cloud.delete(&format!("/iam/v2/service-accounts/{account}")).await.expect(204);
        cloud.delete(&format!("/cmk/v2/clusters/{cluster}?environment={environment}")).await.expect(204);
        cloud.get_cluster(&environment, &cluster).await.expect_error(404);
        cloud.delete(&format!("/org/v2/environments/{environment}")).await.expect(204);
        cloud.get(&format!("/org/v2/environments/{environment}")).await.expect_error(404);
        let image = broker.image();
        assert!(image.clusters.is_empty() && image.api_keys.is_empty(), "{image:?}");
    }
}
