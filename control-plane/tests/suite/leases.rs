//! Work that one replica does for all: it is done, by one at a time, and by another when that one stops.

use serde_json::json;

use crate::fixture::{Engine, Installation, postgres};

const ENVIRONMENTS_COUNTED: &str = "SELECT used FROM quotas WHERE code = 'iam.max_environments.per_org'";

on_both_engines! {
    async fn a_counter_that_is_wrong_is_put_right_and_counted_in_a_metric(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        installation.rest.create_environment("staging").await;
        let statement = "UPDATE quotas SET used = used + 24 WHERE code = 'iam.max_environments.per_org'";
        installation.edit_database(statement).await;
        installation.wait_for_number(ENVIRONMENTS_COUNTED, 1).await;
        installation.wait_for_metric("millstream_recount_repairs_total{counter=\"quota\"} 1").await;
        installation.rest.create_environment("production").await;
        installation.wait_for_number(ENVIRONMENTS_COUNTED, 2).await;
    }

    async fn a_counter_that_is_missing_is_made(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let environment = installation.rest.create_environment("staging").await;
        installation.rest.create_dedicated(&environment, 3).await;
        installation.edit_database("DELETE FROM quotas WHERE code = 'kafka.max_ckus.per_env'").await;
        installation.wait_for_number("SELECT COALESCE(MAX(used), 0) FROM quotas WHERE code = 'kafka.max_ckus.per_env'", 3).await;
    }

    async fn a_reservation_that_is_wrong_is_put_right_and_counted_in_a_metric(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let environment = installation.rest.create_environment("staging").await;
        let cluster = installation.rest.create_cluster(&environment, "one").await;
        installation.rest.wait_provisioned(&environment, &cluster).await;
        drop((agent, broker));
        installation.edit_database("UPDATE physical_clusters SET reserved_partitions = 9, reserved_ingress = 0").await;
        installation.wait_for_number("SELECT reserved_partitions FROM physical_clusters", 30).await;
        installation.wait_for_number("SELECT reserved_ingress FROM physical_clusters", 5_000_000).await;
        installation.wait_for_metric("millstream_recount_repairs_total{counter=\"reservation\"} 1").await;
    }

    async fn work_waits_for_the_end_of_anothers_lease(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        installation.rest.create_environment("staging").await;
        installation.wait_for_number("SELECT COUNT(*) FROM work_leases", 3).await;
        let statements = "UPDATE work_leases SET holder = 'another', epoch = 7, expires_at = 9000000000000000; \
                          UPDATE quotas SET used = used + 1 WHERE code = 'iam.max_environments.per_org'";
        installation.edit_database(statements).await;
        installation.rest.post("/org/v2/environments", json!({"display_name": "production"})).await.expect(201);
        installation.wait_for_number(ENVIRONMENTS_COUNTED, 3).await;
        installation.run_statement("UPDATE work_leases SET expires_at = 0 WHERE name = 'recount'").await;
        installation.wait_for_number(ENVIRONMENTS_COUNTED, 2).await;
        installation.wait_for_number("SELECT epoch FROM work_leases WHERE name = 'recount'", 8).await;
        installation.wait_for_number("SELECT epoch FROM work_leases WHERE name = 'deadlines'", 7).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_takes_over_at_once_from_one_that_stops() {
    if !postgres::is_available() {
        return;
    }
    let mut installation = Installation::start(Engine::Postgres).await;
    let taken = "SELECT COUNT(*) FROM work_leases WHERE epoch = 1";
    installation.wait_for_number(taken, 3).await;
    let (replica, _) = installation.another_replica().await;
    installation.wait_for_number(taken, 3).await;
    installation.stop().await;
    installation.wait_for_number("SELECT COUNT(*) FROM work_leases WHERE epoch = 2", 3).await;
    replica.shutdown().await;
}
