//! What goes wrong in an installation: the database goes away or comes back from a backup, everybody makes keys at once.

use millstream_control_plane::DatabaseUrl;
use tokio::task::JoinSet;

use crate::fixture::broker::{Acknowledging, Image};
use crate::fixture::{Engine, FakeBroker, Installation, Rest, postgres};

const STORMING_CALLERS: usize = 8;
const KEYS_PER_CALLER: usize = 25;

/// A cluster and a service account.
async fn cluster_and_account(rest: &Rest) -> (String, String) {
    let environment = rest.create_environment("staging").await;
    let cluster = rest.create_cluster(&environment, "one").await;
    (cluster, rest.create_service_account("app").await)
}

on_both_engines! {
    async fn after_a_restored_backup_no_broker_keeps_anything_of_the_lost_time(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let agent = installation.agent().await;
        let desired = agent.desired().clone();
        let (cluster, account) = cluster_and_account(&installation.rest).await;
        let backup = installation.back_up().await;

        // The lost time: two brokers learn of keys, one of them stops in the middle.
        let address = installation.control_plane().fleet_address();
        let rest = installation.rest.clone();
        let (leading, stopped) =
            (FakeBroker::connect(address, &desired, 1).await, FakeBroker::connect(address, &desired, 2).await);
        let (lost, secret) = rest.create_kafka_key(&account, &cluster).await;
        let stopped_image = stopped.wait_for(|image| image.api_keys.contains_key(&lost)).await;
        drop(stopped);
        rest.create_kafka_key(&account, &cluster).await;
        rest.create_kafka_key(&account, &cluster).await;
        let leading_image = leading.wait_for(|image| image.api_keys.len() == 3).await;
        drop(leading);

        installation.restore(backup).await;
        let address = installation.control_plane().fleet_address();
        let rest = installation.rest.clone();
        let image = Image { ended: None, ..leading_image.clone() };
        let leading = FakeBroker::connect_with(address, &desired, 1, image, Acknowledging::Promptly).await;
        let restored = leading.wait_for(|image| image.snapshots == leading_image.snapshots + 1).await;
        assert!(restored.api_keys.is_empty() && restored.revision < leading_image.revision, "{restored:?}");
        assert!(restored.epoch > leading_image.epoch, "the epoch is the same");

        // Other changes are given the numbers of the lost ones. Who missed all of it must not go on from there.
        for _ in 0..4 {
            rest.create_kafka_key(&account, &cluster).await;
        }
        let image = Image { ended: None, ..stopped_image.clone() };
        let stopped = FakeBroker::connect_with(address, &desired, 2, image, Acknowledging::Promptly).await;
        let caught_up = stopped.wait_for(|image| image.api_keys.len() == 4).await;
        assert!(!caught_up.authenticates(&lost, &secret), "a key of the lost time works");
        assert_eq!(caught_up.resumes, 0);
        assert_eq!(caught_up.api_keys, leading.wait_for(|image| image.api_keys.len() == 4).await.api_keys);
    }

    async fn in_a_storm_of_keys_each_works_when_it_is_answered_and_none_after_its_end(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let (cluster, _) = cluster_and_account(&installation.rest).await;
        let broker = std::sync::Arc::new(broker);
        let mut callers = JoinSet::new();
        for caller in 0..STORMING_CALLERS {
            let (rest, cluster, broker) = (installation.rest.clone(), cluster.clone(), broker.clone());
            callers.spawn(async move {
                let account = rest.create_service_account(&format!("storm {caller}")).await;
                for _ in 0..KEYS_PER_CALLER {
                    let (key, secret) = rest.create_kafka_key(&account, &cluster).await;
                    assert!(broker.image().authenticates(&key, &secret), "{key} does not work yet");
                    rest.delete(&format!("/iam/v2/api-keys/{key}")).await.expect(204);
                    assert!(!broker.image().authenticates(&key, &secret), "{key} works still");
                }
            });
        }
        while let Some(caller) = callers.join_next().await {
            caller.expect("no caller fails");
        }
        let image = broker.image();
        assert!(image.api_keys.is_empty(), "{image:?}");
        assert_eq!((image.snapshots, image.ended), (1, None));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_brokers_keep_what_they_know_and_nothing_is_half_done() {
    if !postgres::is_available() {
        return;
    }
    let installation = Installation::start(Engine::Postgres).await;
    let DatabaseUrl::Postgres(url) = installation.database.clone() else { panic!("not on PostgreSQL") };
    let (_agent, broker) = installation.fleet().await;
    let rest = &installation.rest;
    let (cluster, account) = cluster_and_account(rest).await;
    let (key, secret) = rest.create_kafka_key(&account, &cluster).await;

    postgres::take_away(&url).await;
    let refused = rest.post("/org/v2/environments", serde_json::json!({"display_name":"lost"})).await;
    refused.expect_error(503);
    rest.get("/org/v2/environments").await.expect_error(503);
    let image = broker.image();
    assert!(image.authenticates(&key, &secret) && image.ended.is_none(), "{image:?}");

    postgres::bring_back(&url).await;
    let names: Vec<String> = rest.get("/org/v2/environments").await.expect(200).json()["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|environment| environment["display_name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(names, ["staging"], "what was refused was stored");
    let (later, later_secret) = rest.create_kafka_key(&account, &cluster).await;
    let image = broker.wait_for(|image| image.authenticates(&later, &later_secret)).await;
    assert_eq!((image.snapshots, image.ended), (1, None), "the stream did not go on");
}
