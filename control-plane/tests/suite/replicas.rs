//! Several replicas on one PostgreSQL database.

use std::time::{Duration, Instant};

use crate::fixture::{Engine, FakeBroker, Installation, postgres};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_made_at_one_replica_works_at_the_brokers_of_another_when_answered() {
    if !postgres::is_available() {
        return;
    }
    let installation = Installation::start(Engine::Postgres).await;
    let (agent, broker_here) = installation.fleet().await;
    let (replica, there) = installation.another_replica().await;
    let broker_there = FakeBroker::connect(replica.fleet_address(), agent.desired(), 2).await;
    let here = &installation.rest;
    let environment = here.create_environment("staging").await;
    let cluster = there.create_cluster(&environment, "one").await;
    here.wait_provisioned(&environment, &cluster).await;
    let account = there.create_service_account("app").await;
    let mut times = Vec::new();
    for rest in [here, &there] {
        for _ in 0..10 {
            let began = Instant::now();
            let (key, secret) = rest.create_kafka_key(&account, &cluster).await;
            times.push(began.elapsed());
            for broker in [&broker_here, &broker_there] {
                assert!(broker.image().authenticates(&key, &secret));
            }
            rest.delete(&format!("/iam/v2/api-keys/{key}")).await.expect(204);
            for broker in [&broker_here, &broker_there] {
                assert!(!broker.image().authenticates(&key, &secret));
            }
        }
    }
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_millis(800), "{times:?}");
    replica.shutdown().await;
    // The broker of the replica that left holds nobody up.
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        here.create_kafka_key(&account, &cluster).await;
        fastest = fastest.min(began.elapsed());
    }
    assert!(fastest < Duration::from_millis(800), "{fastest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_at_one_replica_is_told_of_what_another_was_asked_for() {
    if !postgres::is_available() {
        return;
    }
    let installation = Installation::start(Engine::Postgres).await;
    let (mut agent, _broker) = installation.fleet().await;
    let (replica, there) = installation.another_replica().await;
    let environment = there.create_environment("staging").await;
    let cluster = there.create_dedicated(&environment, 1).await;
    let own = agent.deliver_dedicated("own.test:9095").await;
    assert_eq!(own.dedicated_to, cluster);
    let _own_broker = FakeBroker::connect(replica.fleet_address(), &own, 1).await;
    there.wait_provisioned(&environment, &cluster).await;
    there.delete(&format!("/cmk/v2/clusters/{cluster}?environment={environment}")).await.expect(204);
    assert!(agent.next_desired().await.deleted);
    replica.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_at_the_same_time_migrate_once() {
    if !postgres::is_available() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let database = postgres::new_database().await.parse().expect("a URL");
    let secrets = directory.path().join("secrets");
    std::fs::create_dir(&secrets).expect("made");
    std::fs::write(secrets.join("installation-secret"), [7; 32]).expect("written");
    let starts = (0..4).map(|_| crate::fixture::installation::start_replica(&database, &directory));
    for started in futures::future::join_all(starts).await {
        started.expect("it starts").shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_fled_from_a_crashed_replica_holds_nobody_up() {
    if !postgres::is_available() {
        return;
    }
    let mut installation = Installation::start(Engine::Postgres).await;
    let agent = installation.agent().await;
    let desired = agent.desired().clone();
    let crashed = format!(
        "INSERT INTO broker_sessions (session_id, replica_id, physical_cluster_id, broker_id, revision, seen_at) \
         VALUES ('crashed', 'crashed', '{}', 1, 0, CAST((EXTRACT(EPOCH FROM now()) + 3600) * 1000000 AS BIGINT))",
        desired.physical_cluster_id
    );
    installation.edit_database(&crashed).await;
    let address = installation.control_plane().fleet_address();
    let broker = FakeBroker::connect(address, &desired, 1).await;
    let rest = &installation.rest;
    let environment = rest.create_environment("staging").await;
    let cluster = rest.create_cluster(&environment, "one").await;
    let _agent = installation.agent().await;
    rest.wait_provisioned(&environment, &cluster).await;
    assert!(broker.image().clusters.contains_key(&cluster));
}
