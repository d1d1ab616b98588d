//! Room on shared physical clusters: what logical clusters reserve, and what happens when there is none.

use millstream_api::fleet::Capacity;
use serde_json::json;

use crate::fixture::{Engine, FakeAgent, FakeBroker, Installation};

/// What an agent of these tests allows.
const MAX_SHARED: u32 = 3;
const RESERVED: &str = "SELECT reserved_partitions FROM physical_clusters";

on_both_engines! {
    async fn clusters_reserve_what_a_unit_gives_and_give_it_back(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, _broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let one = rest.create_cluster(&environment, "one").await;
        let two = rest.create_cluster(&environment, "two").await;
        installation.wait_for_number(RESERVED, 60).await;
        rest.reshape_cluster(&environment, &one, json!({"config":{"kind":"Standard"}})).await.expect(200);
        installation.wait_for_number(RESERVED, 280).await;
        for cluster in [one, two] {
            rest.delete(&format!("/cmk/v2/clusters/{cluster}?environment={environment}")).await.expect(204);
        }
        installation.wait_for_number(RESERVED, 0).await;
        installation.wait_for_number("SELECT reserved_ingress + reserved_connections FROM physical_clusters", 0).await;
    }

    async fn a_cluster_without_room_waits_until_another_gives_its_own_back(engine: Engine) {
        let installation = Installation::start(engine).await;
        let mut agent = installation.agent().await;
        let _broker = FakeBroker::connect(installation.control_plane().fleet_address(), agent.desired(), 1).await;
        agent.report_capacity(Capacity { partitions: 60, ..Capacity::default() }).await;
        installation.wait_for_number("SELECT capacity_partitions FROM physical_clusters", 60).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let one = rest.create_cluster(&environment, "one").await;
        rest.create_cluster(&environment, "two").await;
        let waiting = rest.post_cluster(&environment, "three").await.expect(202);
        assert_eq!(waiting.text_at("/status/phase"), "PROVISIONING");
        assert!(waiting.text_at("/status/message").contains("has room"), "{}", waiting.text);
        let refused = rest.reshape_cluster(&environment, &one, json!({"config":{"kind":"Standard"}})).await;
        assert_eq!(refused.expect_error(409), "/spec/config/kind");
        rest.delete(&format!("/cmk/v2/clusters/{one}?environment={environment}")).await.expect(204);
        rest.wait_provisioned(&environment, &waiting.text_at("/id")).await;
        installation.wait_for_number(RESERVED, 60).await;
    }

    async fn another_shared_one_is_made_before_the_first_is_full_and_never_more_than_the_agent_allows(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let mut agent = FakeAgent::connect_with_max_shared(address, "agent-1", MAX_SHARED).await;
        let full = |id: &str| format!("SELECT COUNT(*) FROM physical_clusters WHERE id = '{id}' AND reserved_partitions = 30");
        agent.report_capacity(Capacity { partitions: 30, ..Capacity::default() }).await;
        installation.wait_for_number("SELECT capacity_partitions FROM physical_clusters", 30).await;
        let rest = &installation.rest;
        let first = agent.desired().physical_cluster_id.clone();
        let mut hosts = vec![first];
        // Each takes one Basic cluster; the next is there, and its room is known, before anybody asks for it.
        for number in 1..=MAX_SHARED {
            let environment = rest.create_environment(&format!("environment {number}")).await;
            rest.create_cluster(&environment, "basic").await;
            installation.wait_for_number(&full(&hosts[hosts.len() - 1]), 1).await;
            if number < MAX_SHARED {
                let next = agent.next_desired().await;
                assert!(next.dedicated_to.is_empty() && !next.deleted, "{next:?}");
                let capacity = format!("SELECT capacity_partitions FROM physical_clusters WHERE id = '{}'", next.physical_cluster_id);
                installation.wait_for_number(&capacity, 30).await;
                hosts.push(next.physical_cluster_id);
            }
        }
        // All that the agent allows are full: the next one waits.
        let environment = rest.create_environment("last").await;
        let waiting = rest.post_cluster(&environment, "basic").await.expect(202);
        assert!(waiting.text_at("/status/message").contains("has room"), "{}", waiting.text);
        installation.wait_for_number("SELECT COUNT(*) FROM physical_clusters", i64::from(MAX_SHARED)).await;
    }

    async fn parallel_creates_never_reserve_more_than_there_is(engine: Engine) {
        let installation = Installation::start(engine).await;
        let mut agent = installation.agent().await;
        agent.report_capacity(Capacity { connections: 100, ..Capacity::default() }).await;
        installation.wait_for_number("SELECT capacity_connections FROM physical_clusters", 100).await;
        let rest = &installation.rest;
        // Three clusters may be pending in an environment at a time.
        let mut creates = Vec::new();
        for number in 0..4 {
            let environment = rest.create_environment(&format!("environment {number}")).await;
            for name in ["one", "two"] {
                let (rest, environment) = (rest.clone(), environment.clone());
                creates.push(async move { rest.create_cluster(&environment, name).await });
            }
        }
        futures::future::join_all(creates).await;
        installation.wait_for_number("SELECT reserved_connections FROM physical_clusters", 100).await;
        installation.wait_for_number("SELECT COUNT(*) FROM logical_clusters WHERE phase = 'PLACING'", 3).await;
    }
}
