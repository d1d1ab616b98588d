//! cmk/v2 clusters: phases, placement, what may change.

use millstream_api::fleet::observed_physical_cluster::Phase;
use serde_json::json;

use crate::fixture::broker::{Acknowledging, Image};
use crate::fixture::rest::{cluster_body, kafka_key_body, sized_body};
use crate::fixture::{Engine, FakeAgent, FakeBroker, Installation};

on_both_engines! {
    async fn a_cluster_made_before_any_agent_is_placed_once_one_connects(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let created = rest.post_cluster(&environment, "early").await.expect(202);
        let cluster = created.text_at("/id");
        assert_eq!(created.text_at("/status/phase"), "PROVISIONING");
        assert!(created.json()["spec"].get("kafka_bootstrap_endpoint").is_none());
        let account = rest.create_service_account("app").await;
        let (key, secret) = rest.create_kafka_key(&account, &cluster).await;

        let (_agent, broker) = installation.fleet().await;
        rest.wait_provisioned(&environment, &cluster).await;
        assert!(broker.image().authenticates(&key, &secret));
        let read = rest.get_cluster(&environment, &cluster).await.expect(200);
        assert_eq!(read.text_at("/spec/kafka_bootstrap_endpoint"), "kafka.test:9092");
        assert_eq!(read.text_at("/spec/http_endpoint"), rest.base());
    }

    async fn a_cluster_is_provisioned_only_when_every_live_broker_has_acknowledged_it(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, _prompt) = installation.fleet().await;
        let address = installation.control_plane().fleet_address();
        let silent =
            FakeBroker::connect_with(address, agent.desired(), 2, Image::default(), Acknowledging::Never).await;
        silent.wait_for(|image| image.snapshots == 1).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let image = silent.wait_for(|image| image.clusters.contains_key(&cluster)).await;
        let read = rest.get_cluster(&environment, &cluster).await.expect(200);
        assert_eq!(read.text_at("/status/phase"), "PROVISIONING");
        silent.acknowledge(image.epoch, image.revision).await;
        rest.wait_provisioned(&environment, &cluster).await;
    }

    async fn a_provisioned_cluster_stays_so_without_brokers_and_after_a_restart(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let rest = installation.rest.clone();
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        rest.wait_provisioned(&environment, &cluster).await;
        drop((agent, broker));
        installation.restart().await;
        let read = installation.rest.get_cluster(&environment, &cluster).await.expect(200);
        assert_eq!(read.text_at("/status/phase"), "PROVISIONED");
    }

    async fn a_new_bootstrap_endpoint_shows_at_every_cluster(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (mut agent, _broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        rest.wait_provisioned(&environment, &cluster).await;
        agent.report_ready("moved.test:9093").await;
        let deadline = tokio::time::Instant::now() + crate::fixture::PATIENCE;
        loop {
            let read = rest.get_cluster(&environment, &cluster).await.expect(200);
            if read.text_at("/spec/kafka_bootstrap_endpoint") == "moved.test:9093" {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "the new endpoint does not show");
        }
    }

    async fn the_environment_must_be_named_and_right(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let other = rest.create_environment("production").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let path = format!("/cmk/v2/clusters/{cluster}");
        assert_eq!(rest.get(&path).await.expect_error(400), "environment");
        assert_eq!(rest.delete(&path).await.expect_error(400), "environment");
        assert_eq!(rest.get("/cmk/v2/clusters").await.expect_error(400), "environment");
        let no_environment = rest.patch(&path, json!({"spec":{"display_name":"two"}})).await;
        assert_eq!(no_environment.expect_error(400), "/spec/environment/id");
        rest.get_cluster(&other, &cluster).await.expect_error(404);
        rest.delete(&format!("{path}?environment={other}")).await.expect_error(404);
        let body = json!({"spec":{"display_name":"two","environment":{"id":other}}});
        rest.patch(&path, body).await.expect_error(404);
        let body = json!({"spec":{"display_name":"two"}});
        let in_query = rest.patch(&format!("{path}?environment={environment}"), body).await;
        assert_eq!(in_query.expect(200).text_at("/spec/display_name"), "two");
    }

    async fn kinds_that_are_not_offered_are_refused_by_name(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        for kind in ["Enterprise", "Freight"] {
            let answer = rest.post("/cmk/v2/clusters", sized_body(&environment, json!({"kind": kind}))).await;
            assert_eq!(answer.expect_error(422), "/spec/config/kind");
            assert!(answer.text.contains("spec.config.kind"), "{}", answer.text);
        }
        let cluster = rest.create_cluster(&environment, "one").await;
        for kind in ["Enterprise", "Freight"] {
            let answer = rest.reshape_cluster(&environment, &cluster, json!({"config":{"kind": kind}})).await;
            assert_eq!(answer.expect_error(422), "/spec/config/kind");
        }
    }

    async fn a_basic_cluster_becomes_standard_at_every_broker_and_nothing_else(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        rest.wait_provisioned(&environment, &cluster).await;
        assert_eq!(broker.image().clusters[&cluster].kind, "Basic");
        let upgraded = rest.reshape_cluster(&environment, &cluster, json!({"config":{"kind":"Standard"}})).await;
        let upgraded = upgraded.expect(200);
        assert_eq!(upgraded.text_at("/spec/config/kind"), "Standard");
        assert_eq!(upgraded.text_at("/status/phase"), "PROVISIONED");
        // The answer waits for the brokers: they know by now.
        assert_eq!(broker.image().clusters[&cluster].kind, "Standard");
        for config in [json!({"kind":"Basic"}), json!({"kind":"Dedicated","cku":1})] {
            let refused = rest.reshape_cluster(&environment, &cluster, json!({"config": config})).await;
            assert_eq!(refused.expect_error(422), "/spec/config/kind");
            assert!(refused.text.contains("only Basic can become Standard"), "{}", refused.text);
        }
        let read = rest.get_cluster(&environment, &cluster).await.expect(200);
        assert_eq!(read.text_at("/spec/config/kind"), "Standard");
    }

    async fn a_cap_in_ecku_reaches_the_brokers_and_follows_changes(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let body = sized_body(&environment, json!({"kind":"Basic","max_ecku":5}));
        let created = rest.post("/cmk/v2/clusters", body).await.expect(202);
        assert_eq!(created.json()["spec"]["config"], json!({"kind":"Basic","max_ecku":5}));
        let cluster = created.text_at("/id");
        broker.wait_for(|image| image.clusters.get(&cluster).is_some_and(|cluster| cluster.units == 5)).await;
        let change = json!({"config":{"kind":"Basic","max_ecku":2}});
        let changed = rest.reshape_cluster(&environment, &cluster, change).await.expect(200);
        assert_eq!(changed.json()["spec"]["config"], json!({"kind":"Basic","max_ecku":2}));
        assert_eq!(broker.image().clusters[&cluster].units, 2);
        let late = FakeBroker::connect(installation.control_plane().fleet_address(), agent.desired(), 2).await;
        late.wait_for(|image| image.clusters.get(&cluster).is_some_and(|cluster| cluster.units == 2)).await;
        let plain = rest.post_cluster(&environment, "plain").await.expect(202);
        assert_eq!(plain.json()["spec"]["config"], json!({"kind":"Basic"}));
    }

    async fn sizes_that_a_kind_does_not_have_are_refused_at_their_field(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        for (config, status, field) in [
            (json!({"kind":"Basic","max_ecku":51}), 422, "/spec/config/max_ecku"),
            (json!({"kind":"Basic","max_ecku":0}), 422, "/spec/config/max_ecku"),
            (json!({"kind":"Basic","max_ecku":-1}), 400, "/spec/config/max_ecku"),
            (json!({"kind":"Basic","cku":1}), 422, "/spec/config/cku"),
            (json!({"kind":"Standard","max_ecku":11}), 422, "/spec/config/max_ecku"),
            (json!({"kind":"Dedicated"}), 400, "/spec/config/cku"),
            (json!({"kind":"Dedicated","cku":153}), 422, "/spec/config/cku"),
        ] {
            let answer = rest.post("/cmk/v2/clusters", sized_body(&environment, config.clone())).await;
            assert_eq!(answer.expect_error(status), field, "{config}");
        }
        let mut body = cluster_body(&environment, "one");
        body["spec"]["availability"] = json!("HIGH");
        assert_eq!(rest.post("/cmk/v2/clusters", body.clone()).await.expect_error(422), "/spec/availability");
        body["spec"]["config"] = json!({"kind":"Standard"});
        assert_eq!(rest.post("/cmk/v2/clusters", body).await.expect(202).text_at("/spec/availability"), "HIGH");
        let mut body = cluster_body(&environment, "two");
        body["spec"]["deletion_protection"] = json!(true);
        assert_eq!(rest.post("/cmk/v2/clusters", body).await.expect_error(422), "/spec/deletion_protection");
        let listed = rest.get(&format!("/cmk/v2/clusters?environment={environment}")).await.expect(200);
        assert_eq!(listed.json()["data"].as_array().map(Vec::len), Some(1), "what was refused was not stored");
    }

    async fn cloud_region_and_availability_cannot_change(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        for (field, other, same) in
            [("cloud", "GCP", "AWS"), ("region", "eu-west-1", "us-east-2"), ("availability", "MULTI_ZONE", "LOW")]
        {
            let refused = rest.reshape_cluster(&environment, &cluster, json!({field: other})).await;
            assert_eq!(refused.expect_error(400), format!("/spec/{field}"));
            rest.reshape_cluster(&environment, &cluster, json!({field: same})).await.expect(200);
        }
    }

    async fn a_region_that_no_agent_serves_is_refused_with_the_ones_that_are(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let _agent = FakeAgent::connect(address, "agent-1", &[("AWS", "eu-west-1"), ("GCP", "europe-west1")]).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let answer = rest.post_cluster(&environment, "one").await;
        assert_eq!(answer.expect_error(422), "/spec/region");
        assert!(answer.text.contains("AWS/eu-west-1") && !answer.text.contains("GCP/"), "{}", answer.text);
        let mut body = cluster_body(&environment, "one");
        body["spec"]["region"] = json!("eu-west-1");
        rest.post("/cmk/v2/clusters", body).await.expect(202);
    }

    async fn an_agent_without_regions_serves_the_usual_ones_of_each_cloud(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, _broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let post = |cloud: &str, region: &str| {
            let mut body = cluster_body(&environment, &format!("in {cloud} {region}"));
            body["spec"]["cloud"] = json!(cloud);
            body["spec"]["region"] = json!(region);
            let rest = rest.clone();
            async move { rest.post("/cmk/v2/clusters", body).await }
        };
        for (cloud, region) in [("AWS", "eu-central-1"), ("GCP", "us-central1"), ("AZURE", "westeurope")] {
            post(cloud, region).await.expect(202);
        }
        for (cloud, region) in [("AWS", "westeurope"), ("GCP", "nowhere")] {
            let answer = post(cloud, region).await;
            assert_eq!(answer.expect_error(422), "/spec/region");
            assert!(answer.text.contains(&format!("{cloud}/")), "{}", answer.text);
        }
    }

    async fn a_deleted_cluster_takes_its_keys_along_and_frees_its_name(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let account = rest.create_service_account("app").await;
        let (key, _) = rest.create_kafka_key(&account, &cluster).await;
        let mut other = cluster_body(&environment, "one");
        other["spec"]["region"] = json!("eu-west-1");
        assert_eq!(rest.post("/cmk/v2/clusters", other).await.expect_error(409), "/spec/display_name");
        rest.delete(&format!("/cmk/v2/clusters/{cluster}?environment={environment}")).await.expect(204);
        let image = broker.image();
        assert!(image.clusters.is_empty() && image.api_keys.is_empty(), "{image:?}");
        rest.get_cluster(&environment, &cluster).await.expect_error(404);
        rest.get(&format!("/iam/v2/api-keys/{key}")).await.expect_error(404);
        rest.post("/iam/v2/api-keys", kafka_key_body(&account, &cluster)).await.expect_error(404);
        rest.create_cluster(&environment, "one").await;
    }

    async fn an_agent_that_failed_gets_no_new_clusters(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let mut broken = FakeAgent::connect(address, "agent-1", &[]).await;
        let pkc = broken.desired().physical_cluster_id.clone();
        broken.report(&pkc, 1, Phase::Failed, "").await;
        let (_agent, broker) = {
            let mut agent = FakeAgent::connect(address, "agent-2", &[]).await;
            agent.report_ready("kafka.test:9092").await;
            let broker = FakeBroker::connect(address, agent.desired(), 1).await;
            (agent, broker)
        };
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        // Until the report has arrived, the broken one may still be chosen.
        for number in 0..20 {
            let cluster = rest.create_cluster(&environment, &format!("cluster {number}")).await;
            let placed = tokio::time::timeout(std::time::Duration::from_millis(200), async {
                broker.wait_for(|image| image.clusters.contains_key(&cluster)).await;
            });
            if placed.await.is_ok() && number > 0 {
                return;
            }
        }
        panic!("clusters are still placed on the failed physical cluster");
    }
}
