//! Dedicated clusters: a physical cluster of their own, from the request to the agent and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream_api::fleet::observed_physical_cluster::Phase;
use millstream_api::fleet::{ForwardedRequest, HttpAnswer};
use serde_json::json;

use crate::fixture::rest::sized_body;
use crate::fixture::{Engine, FakeAgent, FakeBroker, Installation};

/// What a broker answers that counts so many partitions.
fn partition_count(request: ForwardedRequest, partitions: u64) -> HttpAnswer {
    assert_eq!(request.path_and_query, "/v2/metrics/cloud/export");
    let (name, id) = ("confluent_kafka_server_partition_count", request.logical_cluster_id);
    let page = format!("# HELP {name} Partitions.\n# TYPE {name} gauge\n{name}{{kafka_id=\"{id}\"}} {partitions}\n");
    HttpAnswer { id: request.id, status: 200, body: page.into_bytes().into(), ..HttpAnswer::default() }
}

on_both_engines! {
    async fn a_connected_agent_delivers_a_physical_cluster_for_it_alone(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (mut agent, shared) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_dedicated(&environment, 2).await;
        let desired = agent.next_desired().await;
        assert_eq!((desired.dedicated_to.as_str(), desired.ckus, desired.deleted), (cluster.as_str(), 2, false));
        assert_eq!((desired.cloud.as_str(), desired.region.as_str()), ("AWS", "us-east-2"));
        let pending = rest.get_cluster(&environment, &cluster).await.expect(200).json();
        assert_eq!(pending["status"]["phase"], "PROVISIONING");
        assert!(pending["spec"].get("kafka_bootstrap_endpoint").is_none() && pending["status"].get("cku").is_none());

        agent.report(&desired.physical_cluster_id, 1, Phase::Ready, "own.test:9095").await;
        let broker = FakeBroker::connect(installation.control_plane().fleet_address(), &desired, 1).await;
        rest.wait_provisioned(&environment, &cluster).await;
        let read = rest.get_cluster(&environment, &cluster).await.expect(200).json();
        assert_eq!(read["spec"]["kafka_bootstrap_endpoint"], "own.test:9095");
        assert_eq!(read["spec"]["config"], json!({"kind":"Dedicated","cku":2}));
        assert_eq!(read["status"]["cku"], 2);
        assert_eq!(read["spec"]["deletion_protection"], false);
        let image = broker.image();
        assert_eq!((image.clusters[&cluster].kind.as_str(), image.clusters[&cluster].units), ("Dedicated", 2));
        assert!(!shared.image().clusters.contains_key(&cluster));
        // The shared one takes the next Basic cluster; the dedicated one takes none.
        let basic = rest.create_cluster(&environment, "basic").await;
        shared.wait_for(|image| image.clusters.contains_key(&basic)).await;
        assert!(!broker.image().clusters.contains_key(&basic));
    }

    async fn its_size_follows_the_agent_and_its_limits_do_at_once(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (mut agent, _shared) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_dedicated(&environment, 1).await;
        let resize = |ckus: u32| {
            let (rest, environment, cluster) = (rest.clone(), environment.clone(), cluster.clone());
            async move {
                let config = json!({"config":{"kind":"Dedicated","cku":ckus}});
                rest.reshape_cluster(&environment, &cluster, config).await
            }
        };
        assert_eq!(resize(2).await.expect_error(409), "/spec/config/cku");
        let own = agent.deliver_dedicated("own.test:9095").await;
        let mut broker = FakeBroker::connect(installation.control_plane().fleet_address(), &own, 1).await;
        rest.wait_provisioned(&environment, &cluster).await;

        let grown = resize(4).await.expect(200).json();
        assert_eq!((&grown["spec"]["config"]["cku"], &grown["status"]["cku"]), (&json!(4), &json!(1)));
        assert_eq!(broker.image().clusters[&cluster].units, 4);
        assert_eq!(resize(5).await.expect_error(409), "/spec/config/cku");
        let desired = agent.next_desired().await;
        assert_eq!((desired.generation, desired.ckus), (2, 4));
        agent.report(&desired.physical_cluster_id, 2, Phase::Ready, "").await;
        rest.wait_for_cluster(&environment, &cluster, |read| read["status"]["cku"] == 4).await;

        let too_fast = resize(2).await;
        assert_eq!(too_fast.expect_error(422), "/spec/config/cku");
        assert!(too_fast.text.contains("from 4 to 3"), "{}", too_fast.text);
        broker.take_requests(|request| Some(partition_count(request, 1))).await;
        resize(3).await.expect(200);
        assert_eq!(agent.next_desired().await.ckus, 3);
    }

    async fn its_owner_is_told_what_clients_have_to_trust(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (mut agent, _shared) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_dedicated(&environment, 1).await;
        let own = agent.next_desired().await.physical_cluster_id;
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let says = |expected: serde_json::Value| {
            let (rest, environment, cluster) = (rest.clone(), environment.clone(), cluster.clone());
            async move {
                let is_it = |read: &serde_json::Value| read["status"]["kafka_ca_certificate"] == expected;
                rest.wait_for_cluster(&environment, &cluster, is_it).await
            }
        };
        agent.report_authority(&own, "own.test:9095", pem).await;
        says(json!(pem)).await;
        // While nothing is said of an endpoint, nothing is said of it either.
        agent.report_at_work(&own, 1, "Rolling: pod 0 is ending").await;
        installation.wait_for_metric("millstream_physical_clusters_degraded 1").await;
        says(json!(pem)).await;
        // Now somebody's certificate is presented whom everybody trusts.
        agent.report_authority(&own, "own.test:9095", "").await;
        says(serde_json::Value::Null).await;

        agent.report_authority(&own, "own.test:9095", "no certificate").await;
        assert_eq!(agent.wait_for_end().await.code(), tonic::Code::InvalidArgument);
    }

    async fn while_its_brokers_are_restarted_it_stays_ready_and_counts_as_degraded(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (mut agent, _shared) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_dedicated(&environment, 1).await;
        let own = agent.deliver_dedicated("own.test:9095").await;
        let _broker = FakeBroker::connect(installation.control_plane().fleet_address(), &own, 1).await;
        rest.wait_for_cluster(&environment, &cluster, |read| read["status"]["cku"] == 1).await;
        rest.wait_provisioned(&environment, &cluster).await;
        installation.wait_for_metric("millstream_physical_clusters_degraded 0").await;

        let config = json!({"config":{"kind":"Dedicated","cku":2}});
        rest.reshape_cluster(&environment, &cluster, config).await.expect(200);
        agent.report_at_work(&own.physical_cluster_id, 2, "Rolling: pod 0 is ending").await;
        installation.wait_for_metric("millstream_physical_clusters_degraded 1").await;
        installation.wait_for_metric("millstream_physical_clusters{phase=\"PROVISIONING\"} 0").await;
        let read = rest.get_cluster(&environment, &cluster).await.expect(200).json();
        assert_eq!((&read["status"]["phase"], &read["status"]["cku"]), (&json!("PROVISIONED"), &json!(1)));

        agent.report(&own.physical_cluster_id, 2, Phase::Ready, "own.test:9095").await;
        rest.wait_for_cluster(&environment, &cluster, |read| read["status"]["cku"] == 2).await;
        installation.wait_for_metric("millstream_physical_clusters_degraded 0").await;
    }

    async fn it_shrinks_only_to_where_the_partitions_that_its_brokers_count_fit(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (mut agent, _shared) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_dedicated(&environment, 2).await;
        let own = agent.deliver_dedicated("own.test:9095").await;
        let mut broker = FakeBroker::connect(installation.control_plane().fleet_address(), &own, 1).await;
        rest.wait_for_cluster(&environment, &cluster, |read| read["status"]["cku"] == 2).await;
        rest.wait_provisioned(&environment, &cluster).await;
        let shrink = || rest.reshape_cluster(&environment, &cluster, json!({"config":{"kind":"Dedicated","cku":1}}));

        let unknown = shrink().await;
        unknown.expect_error(503);
        assert!(unknown.headers.contains_key("retry-after") && unknown.text.contains("broker"), "{}", unknown.text);
        let partitions = Arc::new(AtomicU64::new(4_501));
        let counted = Arc::clone(&partitions);
        broker.take_requests(move |request| Some(partition_count(request, counted.load(Ordering::SeqCst)))).await;
        let refused = shrink().await;
        assert_eq!(refused.expect_error(422), "/spec/config/cku");
        assert!(refused.text.contains("4501") && refused.text.contains("4500"), "{}", refused.text);
        let read = rest.get_cluster(&environment, &cluster).await.expect(200).json();
        assert_eq!(read["spec"]["config"]["cku"], 2);
        assert_eq!(broker.image().clusters[&cluster].units, 2);

        partitions.store(4_500, Ordering::SeqCst);
        shrink().await.expect(200);
        assert_eq!(broker.image().clusters[&cluster].units, 1);
    }

    async fn a_deleted_one_leaves_nothing_once_its_agent_has_removed_it(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (mut agent, shared) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_dedicated(&environment, 1).await;
        let own = agent.deliver_dedicated("own.test:9095").await;
        let broker = FakeBroker::connect(installation.control_plane().fleet_address(), &own, 1).await;
        rest.wait_provisioned(&environment, &cluster).await;
        let account = rest.create_service_account("app").await;
        let (key, _) = rest.create_kafka_key(&account, &cluster).await;

        rest.delete(&format!("/cmk/v2/clusters/{cluster}?environment={environment}")).await.expect(204);
        rest.get_cluster(&environment, &cluster).await.expect_error(404);
        rest.get(&format!("/iam/v2/api-keys/{key}")).await.expect_error(404);
        assert!(broker.image().clusters.is_empty() && broker.image().api_keys.is_empty());
        let desired = agent.next_desired().await;
        assert!(desired.deleted && desired.generation == 2, "{desired:?}");
        // What is still seen of it does not bring it back, and it is said again to an agent that forgot.
        agent.report(&own.physical_cluster_id, 2, Phase::Ready, "own.test:9095").await;
        drop((agent, broker, shared));
        let mut agent = installation.agent().await;
        let again = agent.next_desired().await;
        assert_eq!((again.physical_cluster_id.as_str(), again.deleted), (own.physical_cluster_id.as_str(), true));

        agent.report(&own.physical_cluster_id, 2, Phase::Deleted, "").await;
        installation.wait_for_number("SELECT COUNT(*) FROM physical_clusters", 1).await;
        installation.wait_for_number("SELECT COUNT(*) FROM shard_heads", 1).await;
        let left = format!("SELECT COUNT(*) FROM config_events WHERE physical_cluster_id = '{}'", own.physical_cluster_id);
        installation.wait_for_number(&left, 0).await;
    }

    async fn without_an_agent_it_waits_and_says_for_what(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, _shared) = installation.fleet().await;
        drop(agent);
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let early = rest.create_dedicated(&environment, 1).await;
        // Whether the control plane has noticed that the agent left is open: both ways say what is missing.
        rest.wait_for_cluster(&environment, &early, |read| {
            let message = read["status"]["message"].as_str().unwrap_or_default();
            message.contains("connected")
        })
        .await;
        let mut agent = installation.agent().await;
        let own = agent.deliver_dedicated("own.test:9095").await;
        assert_eq!(own.dedicated_to, early);
        let _broker = FakeBroker::connect(installation.control_plane().fleet_address(), &own, 1).await;
        let read = rest.wait_for_cluster(&environment, &early, |read| read["status"]["phase"] == "PROVISIONED").await;
        assert!(read["status"].get("message").is_none(), "{read}");
    }

    async fn what_an_agent_cannot_make_has_failed_with_its_reason(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (mut agent, _shared) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_dedicated(&environment, 1).await;
        let desired = agent.next_desired().await;
        agent.report_failed(&desired.physical_cluster_id, 1, "no room on this machine").await;
        let read = rest.wait_for_cluster(&environment, &cluster, |read| read["status"]["phase"] == "FAILED").await;
        assert_eq!(read["status"]["message"], "no room on this machine");
        let config = json!({"config":{"kind":"Dedicated","cku":2}});
        rest.reshape_cluster(&environment, &cluster, config).await.expect_error(409);
        rest.delete(&format!("/cmk/v2/clusters/{cluster}?environment={environment}")).await.expect(204);
        assert!(agent.next_desired().await.deleted);
    }

    async fn what_takes_too_long_has_failed_and_says_what_it_waited_for(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let rest = installation.rest.clone();
        let environment = rest.create_environment("staging").await;
        let unplaced = rest.create_dedicated(&environment, 1).await;
        let read = rest.get_cluster(&environment, &unplaced).await.expect(200);
        assert!(read.text_at("/status/message").contains("no agent"), "{}", read.text);
        installation.edit_database("UPDATE logical_clusters SET phase_since = 1").await;
        let rest = installation.rest.clone();
        let read = rest.wait_for_cluster(&environment, &unplaced, |read| read["status"]["phase"] == "FAILED").await;
        let message = read["status"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("60 minutes") && message.contains("no agent"), "{message}");
        // An agent that comes now changes nothing: the failure is final.
        let (mut agent, _shared) = installation.fleet().await;
        let another = rest.post_cluster(&environment, "another").await.expect(202).text_at("/id");
        rest.wait_provisioned(&environment, &another).await;
        let read = rest.get_cluster(&environment, &unplaced).await.expect(200);
        assert_eq!(read.text_at("/status/phase"), "FAILED");
        rest.delete(&format!("/cmk/v2/clusters/{unplaced}?environment={environment}")).await.expect(204);

        let slow = rest.create_dedicated(&environment, 1).await;
        agent.next_desired().await;
        installation.edit_database("UPDATE physical_clusters SET phase_since = 1 WHERE dedicated_to <> ''").await;
        let rest = &installation.rest;
        let read = rest.wait_for_cluster(&environment, &slow, |read| read["status"]["phase"] == "FAILED").await;
        assert!(read["status"]["message"].as_str().is_some_and(|text| text.contains("agent-1")), "{read}");
    }

    async fn two_agents_share_the_dedicated_clusters(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let mut first = FakeAgent::connect(address, "agent-1", &[]).await;
        let mut second = FakeAgent::connect(address, "agent-2", &[("AWS", "us-east-2")]).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let one = rest.create_dedicated(&environment, 1).await;
        assert_eq!(first.next_desired().await.dedicated_to, one);
        let mut body = sized_body(&environment, json!({"kind":"Dedicated","cku":1}));
        body["spec"]["display_name"] = json!("another");
        let two = rest.post("/cmk/v2/clusters", body).await.expect(202).text_at("/id");
        assert_eq!(second.next_desired().await.dedicated_to, two);
    }

    async fn a_protected_one_is_not_deleted_and_holds_its_environment(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (mut agent, _shared) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let mut body = sized_body(&environment, json!({"kind":"Dedicated","cku":1}));
        body["spec"]["deletion_protection"] = json!(true);
        let created = rest.post("/cmk/v2/clusters", body).await.expect(202).json();
        assert_eq!(created["spec"]["deletion_protection"], true);
        let cluster = created["id"].as_str().expect("an id").to_owned();
        agent.deliver_dedicated("own.test:9095").await;
        let path = format!("/cmk/v2/clusters/{cluster}?environment={environment}");
        let refused = rest.delete(&path).await;
        refused.expect_error(409);
        assert!(refused.text.contains("spec.deletion_protection"), "{}", refused.text);
        rest.delete(&format!("/org/v2/environments/{environment}")).await.expect_error(409);
        rest.reshape_cluster(&environment, &cluster, json!({"deletion_protection": false})).await.expect(200);
        rest.delete(&path).await.expect(204);
        rest.delete(&format!("/org/v2/environments/{environment}")).await.expect(204);
    }
}
