//! What one replica tells whoever operates it.

use millstream_control_plane::DatabaseUrl;

use crate::fixture::{Engine, Installation, postgres};

on_both_engines! {
    async fn the_metrics_show_where_clusters_are_and_nothing_of_a_tenant(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let environment = installation.rest.create_environment("named-environment").await;
        let waiting = installation.rest.create_cluster(&environment, "named-cluster").await;
        installation.edit_database("UPDATE logical_clusters SET phase_since = phase_since - 60000000").await;
        let (status, page) = installation.monitoring("/metrics").await;
        assert_eq!(status, 200);
        let value = |line: &str| {
            let found = page.lines().find_map(|other| other.strip_prefix(line));
            found.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or_else(|| panic!("no {line} in {page}"))
        };
        assert_eq!(value("millstream_database_up"), 1.0);
        assert_eq!(value("millstream_logical_clusters{phase=\"PLACING\"}"), 1.0);
        assert_eq!(value("millstream_logical_clusters{phase=\"PROVISIONED\"}"), 0.0);
        let age = value("millstream_phase_age_seconds{cluster=\"logical\",phase=\"PLACING\"}");
        assert!(age >= 60.0, "{page}");
        let organization = installation.organization.organization_id.to_string();
        for of_tenant in ["named", environment.as_str(), waiting.as_str(), organization.as_str()] {
            assert!(!page.contains(of_tenant), "{of_tenant} in {page}");
        }

        let (_agent, _broker) = installation.fleet().await;
        installation.rest.wait_provisioned(&environment, &waiting).await;
        installation.wait_for_metric("millstream_logical_clusters{phase=\"PROVISIONED\"} 1").await;
        installation.wait_for_metric("millstream_physical_clusters{phase=\"READY\"} 1").await;
    }

    async fn the_public_api_does_not_show_them(engine: Engine) {
        let installation = Installation::start(engine).await;
        for path in ["/metrics", "/livez", "/readyz"] {
            installation.rest.get(path).await.expect_error(404);
        }
        assert_eq!(installation.monitoring("/livez").await.0, 200);
        assert_eq!(installation.monitoring("/readyz").await.0, 200);
        assert_eq!(installation.monitoring("/org/v2/environments").await.0, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_a_replica_goes_on_telling_clients_when_to_come_again() {
    if !postgres::is_available() {
        return;
    }
    let installation = Installation::start(Engine::Postgres).await;
    let DatabaseUrl::Postgres(url) = &installation.database else { panic!("a test on PostgreSQL") };
    postgres::take_away(url).await;
    assert_eq!(installation.monitoring("/readyz").await.0, 200);
    assert_eq!(installation.monitoring("/livez").await.0, 200);
    let (status, page) = installation.monitoring("/metrics").await;
    assert_eq!(status, 200);
    assert!(page.contains("millstream_database_up 0\n") && !page.contains("phase="), "{page}");
    postgres::bring_back(url).await;
    installation.wait_for_metric("millstream_database_up 1").await;
}
