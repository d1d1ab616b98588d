//! That brokers know who there is in the organizations that they host.

use std::collections::BTreeMap;

use crate::fixture::{Engine, FakeBroker, Installation};

on_both_engines! {
    async fn brokers_know_everybody_of_each_organization_that_they_host(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let (globex_organization, globex) = installation.another_organization().await;
        let early = globex.create_service_account("early").await;
        assert!(broker.image().principals.is_empty(), "nobody has a cluster there");

        let environment = globex.create_environment("staging").await;
        let cluster = globex.create_cluster(&environment, "one").await;
        globex.wait_provisioned(&environment, &cluster).await;
        let late = globex.create_service_account("late").await;
        let organization = globex_organization.organization_id.to_string();
        let user = globex_organization.user_id.to_string();
        let expected: BTreeMap<String, String> =
            [&user, &early, &late].into_iter().map(|id| (format!("User:{id}"), organization.clone())).collect();
        let mut known = broker.image().principals;
        // The account of the key that the test itself uses is one of them.
        known.retain(|principal, _| expected.contains_key(principal));
        assert_eq!(known, expected, "all are there when the creation of the last is answered");

        installation.rest.create_service_account("of others").await;
        let by_delta = broker.image().principals;
        assert!(by_delta.values().all(|owner| *owner == organization), "no other organization has a cluster there");
        let address = installation.control_plane().fleet_address();
        let newcomer = FakeBroker::connect(address, agent.desired(), 2).await;
        let image = newcomer.wait_for(|image| !image.principals.is_empty()).await;
        assert_eq!(image.principals, by_delta, "a snapshot says the same");

        globex.delete(&format!("/iam/v2/service-accounts/{late}")).await.expect(204);
        assert!(!broker.image().principals.contains_key(&format!("User:{late}")));
        assert!(broker.image().principals.contains_key(&format!("User:{early}")));
    }
}
