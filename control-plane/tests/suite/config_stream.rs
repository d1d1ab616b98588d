//! The config stream: snapshots, resumes, deltas, acknowledgements.

use crate::fixture::broker::{Acknowledging, Image, hello, subscribe};
use crate::fixture::{Engine, FakeBroker, Installation, Rest};

/// A cluster and a service account.
async fn cluster_and_account(rest: &Rest) -> (String, String) {
    let environment = rest.create_environment("staging").await;
    let cluster = rest.create_cluster(&environment, "one").await;
    (cluster, rest.create_service_account("app").await)
}

on_both_engines! {
    async fn a_broker_that_was_away_resumes_where_it_was(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let (cluster, account) = cluster_and_account(rest).await;
        let (first, _) = rest.create_kafka_key(&account, &cluster).await;
        let image = broker.image();
        drop(broker);
        let (second, secret) = rest.create_kafka_key(&account, &cluster).await;
        rest.delete(&format!("/iam/v2/api-keys/{first}")).await.expect(204);

        let address = installation.control_plane().fleet_address();
        let broker = FakeBroker::connect_with(address, agent.desired(), 1, image, Acknowledging::Promptly).await;
        let image = broker.wait_for(|image| image.authenticates(&second, &secret)).await;
        assert_eq!((image.snapshots, image.resumes), (1, 1));
        broker.wait_for(|image| !image.api_keys.contains_key(&first)).await;
    }

    async fn the_image_survives_a_restart_of_the_control_plane(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let rest = installation.rest.clone();
        let (cluster, account) = cluster_and_account(&rest).await;
        let (key, secret) = rest.create_kafka_key(&account, &cluster).await;
        let image = broker.image();
        let desired = agent.desired().clone();
        installation.restart().await;
        assert!(broker.wait_for(|image| image.ended.is_some()).await.authenticates(&key, &secret));

        let agent = installation.agent().await;
        assert_eq!(*agent.desired(), desired, "the physical cluster or its token changed");
        let address = installation.control_plane().fleet_address();
        let broker = FakeBroker::connect_with(address, &desired, 1, image, Acknowledging::Promptly).await;
        let image = broker.wait_for(|image| image.resumes == 1).await;
        assert_eq!(image.snapshots, 1);
        let (later, secret) = installation.rest.create_kafka_key(&account, &cluster).await;
        assert!(broker.image().authenticates(&later, &secret));
    }

    async fn an_image_of_another_epoch_or_of_the_future_is_replaced(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let (cluster, account) = cluster_and_account(&installation.rest).await;
        let (key, secret) = installation.rest.create_kafka_key(&account, &cluster).await;
        let current = broker.image();
        let address = installation.control_plane().fleet_address();
        for stale in [
            Image { epoch: current.epoch + 1, revision: current.revision, ..Image::default() },
            Image { epoch: current.epoch, revision: current.revision + 1, ..Image::default() },
            Image { epoch: current.epoch, revision: u64::MAX, ..Image::default() },
            Image { epoch: 0, revision: 0, ..Image::default() },
        ] {
            let broker = FakeBroker::connect_with(address, agent.desired(), 2, stale, Acknowledging::Promptly).await;
            let image = broker.wait_for(|image| image.snapshots == 1).await;
            assert_eq!(image.resumes, 0);
            broker.wait_for(|image| image.authenticates(&key, &secret)).await;
        }
    }

    async fn a_broker_that_found_a_gap_gets_a_snapshot(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let (cluster, account) = cluster_and_account(&installation.rest).await;
        let (key, secret) = installation.rest.create_kafka_key(&account, &cluster).await;
        broker.claim_gap().await;
        broker.wait_for(|image| image.snapshots == 2 && image.authenticates(&key, &secret)).await;
        let (later, secret) = installation.rest.create_kafka_key(&account, &cluster).await;
        assert!(broker.image().authenticates(&later, &secret));
    }

    async fn a_broker_behind_the_end_of_the_log_gets_a_snapshot(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let rest = installation.rest.clone();
        let (cluster, account) = cluster_and_account(&rest).await;
        let image = broker.image();
        drop(broker);
        let (key, secret) = rest.create_kafka_key(&account, &cluster).await;
        rest.create_kafka_key(&account, &cluster).await;
        let desired = agent.desired().clone();
        let oldest = image.revision + 1;
        installation.edit_database(&format!("DELETE FROM config_events WHERE revision <= {oldest}")).await;

        let address = installation.control_plane().fleet_address();
        let broker = FakeBroker::connect_with(address, &desired, 1, image, Acknowledging::Promptly).await;
        let image = broker.wait_for(|image| image.snapshots == 2 && image.authenticates(&key, &secret)).await;
        assert_eq!(image.resumes, 0);
    }

    async fn a_snapshot_of_many_items_comes_in_pieces_and_complete(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let (cluster, account) = cluster_and_account(&installation.rest).await;
        installation.rest.create_kafka_key(&account, &cluster).await;
        let desired = agent.desired().clone();
        drop(broker);
        let copies = "INSERT INTO api_keys (organization_id, id, owner_service_account_id, owner_user_id, cluster_id, \
            display_name, description, secret_hmac, created_at, updated_at) \
            WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 2500) \
            SELECT organization_id, CAST(1000000000000000 + number AS TEXT), owner_service_account_id, owner_user_id, \
            cluster_id, display_name, description, secret_hmac, created_at, updated_at \
            FROM api_keys CROSS JOIN numbers WHERE cluster_id IS NOT NULL";
        installation.edit_database(copies).await;
        let address = installation.control_plane().fleet_address();
        let broker = FakeBroker::connect(address, &desired, 1).await;
        broker.wait_for(|image| image.api_keys.len() == 2_501).await;
        let path = format!("/iam/v2/service-accounts/{account}");
        installation.rest.delete(&path).await.expect(204);
        broker.wait_for(|image| image.api_keys.is_empty() && image.clusters.len() == 1).await;
    }

    async fn an_item_that_a_broker_does_not_understand_does_not_stop_the_stream(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let (cluster, account) = cluster_and_account(&installation.rest).await;
        broker.refuse_item().await;
        let (key, secret) = installation.rest.create_kafka_key(&account, &cluster).await;
        let image = broker.image();
        assert!(image.authenticates(&key, &secret));
        assert_eq!((image.snapshots, image.ended), (1, None));
    }

    async fn a_second_stream_of_the_same_broker_ends_the_first(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, first) = installation.fleet().await;
        let address = installation.control_plane().fleet_address();
        let second = FakeBroker::connect(address, agent.desired(), 1).await;
        let ended = first.wait_for(|image| image.ended.is_some()).await.ended.expect("it ended");
        assert!(ended.contains("another stream"), "{ended}");
        let (cluster, account) = cluster_and_account(&installation.rest).await;
        let (key, secret) = installation.rest.create_kafka_key(&account, &cluster).await;
        assert!(second.image().authenticates(&key, &secret));
    }

    async fn acknowledging_what_was_never_sent_counts_for_nothing(engine: Engine) {
        let installation = Installation::start(engine).await;
        let agent = installation.agent().await;
        let address = installation.control_plane().fleet_address();
        let liar =
            FakeBroker::connect_with(address, agent.desired(), 1, Image::default(), Acknowledging::Never).await;
        let image = liar.wait_for(|image| image.snapshots == 1).await;
        liar.acknowledge(image.epoch, image.revision + 1_000).await;
        liar.acknowledge(image.epoch + 1, image.revision).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let image = liar.wait_for(|image| image.clusters.contains_key(&cluster)).await;
        let read = rest.get_cluster(&environment, &cluster).await.expect(200);
        assert_eq!(read.text_at("/status/phase"), "PROVISIONING");
        liar.acknowledge(image.epoch, image.revision).await;
        rest.wait_provisioned(&environment, &cluster).await;
    }

    async fn a_broker_learns_nothing_of_other_physical_clusters(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let (_agent, broker) = installation.fleet().await;
        let (cluster, account) = cluster_and_account(&installation.rest).await;
        installation.rest.create_kafka_key(&account, &cluster).await;
        let other_agent = crate::fixture::FakeAgent::connect(address, "agent-2", &[]).await;
        assert_ne!(other_agent.desired().physical_cluster_id, "");
        let other = FakeBroker::connect(address, other_agent.desired(), 1).await;
        assert!(broker.image().clusters.contains_key(&cluster));
        assert!(other.image().clusters.is_empty() && other.image().api_keys.is_empty());
    }

    async fn another_epoch_reaches_a_broker_that_is_connected(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        installation.run_statement("UPDATE installation SET epoch = epoch + 1").await;
        broker.wait_for(|image| image.snapshots == 2).await;
    }

    async fn heartbeats_come_on_an_idle_stream(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        broker.wait_for(|image| image.heartbeats >= 2).await;
    }

    async fn a_wrong_token_or_hello_is_refused(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let (agent, broker) = installation.fleet().await;
        let other = crate::fixture::FakeAgent::connect(address, "agent-2", &[]).await;
        let (desired, other) = (agent.desired(), other.desired());
        for (token, physical_cluster) in [
            ("", desired.physical_cluster_id.as_str()),
            ("nonsense", &desired.physical_cluster_id),
            (other.broker_token.as_str(), &desired.physical_cluster_id),
            (crate::fixture::installation::AGENT_TOKEN, &desired.physical_cluster_id),
            (&desired.broker_token, "pkc-n0body00"),
            (&desired.broker_token, "nonsense"),
            (&desired.broker_token, ""),
        ] {
            let refused = subscribe(address, token, hello(physical_cluster, 1, &Image::default())).await;
            let status = refused.map(|_| ()).expect_err("it is refused");
            assert_eq!(status.code(), tonic::Code::Unauthenticated, "{token} {physical_cluster}");
        }
        assert_eq!(broker.image().ended, None);
    }
}
