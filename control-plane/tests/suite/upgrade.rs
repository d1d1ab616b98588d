//! Databases of earlier versions: what was there still works, and everybody who must know does.

use crate::fixture::broker::{Acknowledging, Image};
use crate::fixture::old_schema::start_again_on_the_first_schema;
use crate::fixture::{Engine, FakeBroker, Installation};

on_both_engines! {
    async fn keys_of_the_first_schema_keep_their_rights_as_role_bindings(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let organization = installation.organization.organization_id;
        let user = installation.organization.user_id.clone();
        let statements = format!(
            "INSERT INTO users VALUES ('{organization}', 'u-later', 2);
             INSERT INTO environments VALUES ('{organization}', 'env-1', 'staging', 1, 1);
             INSERT INTO service_accounts VALUES ('{organization}', 'sa-cloud', 'cloud', '', 1, 1);
             INSERT INTO service_accounts VALUES ('{organization}', 'sa-kafka', 'kafka', '', 1, 1);
             INSERT INTO service_accounts VALUES ('{organization}', 'sa-none', 'none', '', 1, 1);
             INSERT INTO physical_clusters VALUES ('pkc-1', 'agent-1', '', '', 1, 1, 'READY', '', 'kafka.test:9092', 1);
             INSERT INTO shard_heads VALUES ('pkc-1', 7);
             INSERT INTO logical_clusters VALUES ('{organization}', 'lkc-1', 'env-1', 'one', 'SINGLE_ZONE', 'AWS',
                'us-east-2', 'Basic', 'PROVISIONED', 'pkc-1', 7, 1, 1);"
        );
        let key = |id: &str, owner: &str, cluster: &str| {
            format!(
                "INSERT INTO api_keys VALUES ('{organization}', '{id}', '{owner}', NULL, {cluster}, '', '', 'x', 1, 1);"
            )
        };
        let keys = [
            key("CLOUD11111111111", "sa-cloud", "NULL"),
            key("KAFKA11111111111", "sa-kafka", "'lkc-1'"),
            key("KAFKA22222222222", "sa-kafka", "'lkc-1'"),
        ];
        let (_agent, broker) = installation.fleet().await;
        let epoch = broker.image().epoch;
        drop(broker);
        start_again_on_the_first_schema(&mut installation, &(statements + &keys.concat())).await;

        // A broker of before the upgrade, at the newest revision, is brought up to date nevertheless.
        let agent = installation.agent().await;
        let image = Image { epoch, revision: 7, ..Image::default() };
        let address = installation.control_plane().fleet_address();
        let broker = FakeBroker::connect_with(address, agent.desired(), 1, image, Acknowledging::Promptly).await;
        let image = broker.wait_for(|image| image.snapshots == 1 && !image.role_bindings.is_empty()).await;
        let mut found: Vec<_> = image
            .role_bindings
            .values()
            .map(|binding| {
                assert!(binding.id.parse::<millstream_api::ids::RoleBindingId>().is_ok(), "{}", binding.id);
                (binding.principal.clone(), binding.role_name.clone(), binding.crn_pattern.clone())
            })
            .collect();
        found.sort();
        let crn = format!("crn://confluent.cloud/organization={organization}");
        let cluster = format!("{crn}/environment=env-1/cloud-cluster=lkc-1");
        let mut expected = vec![
            (format!("User:{user}"), "OrganizationAdmin".to_owned(), crn.clone()),
            ("User:sa-cloud".to_owned(), "OrganizationAdmin".to_owned(), crn),
            ("User:sa-kafka".to_owned(), "CloudClusterAdmin".to_owned(), cluster),
        ];
        expected.sort();
        assert_eq!(found, expected);
        installation.rest.get("/org/v2/environments/env-1").await.expect(200);
        let wrong = installation.control_plane().wrong_quota_counters().await.expect("they are counted");
        assert_eq!(wrong, Vec::<String>::new(), "the migration did not count what was there");
        for counter in ["quota", "reservation"] {
            installation.wait_for_metric(&format!("millstream_recount_repairs_total{{counter=\"{counter}\"}} 0")).await;
        }
    }
}
