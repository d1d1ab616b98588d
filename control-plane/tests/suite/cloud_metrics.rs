//! The export of metrics: who may have it, and that brokers of all clusters are asked.

use millstream_api::fleet::{ForwardedRequest, HttpAnswer};
use serde_json::json;

use crate::fixture::{Engine, Installation};

const PATH: &str = "/v2/metrics/cloud/export";

fn count_bytes(request: ForwardedRequest) -> HttpAnswer {
    assert_eq!(request.path_and_query, PATH);
    let id = request.logical_cluster_id;
    let page = format!("# HELP bytes Bytes.\n# TYPE bytes gauge\nbytes{{kafka_id=\"{id}\"}} 7\n");
    HttpAnswer { id: request.id, status: 200, body: page.into_bytes().into(), ..HttpAnswer::default() }
}

on_both_engines! {
    async fn the_metrics_of_several_clusters_are_one_page(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, mut broker) = installation.fleet().await;
        broker.take_requests(|request| Some(count_bytes(request))).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let (one, two) = (rest.create_cluster(&environment, "one").await, rest.create_cluster(&environment, "two").await);
        let answer = rest.get(&format!("{PATH}?resource.kafka.id={one}&resource.kafka.id={two}")).await.expect(200);
        assert!(answer.headers["content-type"].to_str().is_ok_and(|media| media.starts_with("text/plain")));
        assert_eq!(answer.text.matches("# TYPE bytes gauge").count(), 1, "{}", answer.text);
        for cluster in [&one, &two] {
            assert!(answer.text.contains(&format!("bytes{{kafka_id=\"{cluster}\"}} 7\n")), "{}", answer.text);
        }
        rest.get(PATH).await.expect_error(400);
        rest.get(&format!("{PATH}?resource.kafka.id=lkc-0")).await.expect_error(404);
    }

    async fn who_views_metrics_sees_those_of_its_own_cluster_alone(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, mut broker) = installation.fleet().await;
        broker.take_requests(|request| Some(count_bytes(request))).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let (own, other) = (rest.create_cluster(&environment, "own").await, rest.create_cluster(&environment, "other").await);
        let account = rest.create_service_account("scraper").await;
        let scraper = rest.create_cloud_key(&account).await;
        let path = |cluster: &str| format!("{PATH}?resource.kafka.id={cluster}");
        scraper.get(&path(&own)).await.expect_error(404);
        let organization = &installation.organization.organization_id;
        let crn = format!("crn://confluent.cloud/organization={organization}/environment={environment}/cloud-cluster={own}");
        let binding = json!({"principal":format!("User:{account}"),"role_name":"MetricsViewer","crn_pattern":crn});
        rest.post("/iam/v2/role-bindings", binding).await.expect(201);
        scraper.get(&path(&own)).await.expect(200);
        scraper.get(&path(&other)).await.expect_error(404);
    }
}
