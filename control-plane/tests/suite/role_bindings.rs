//! Role bindings: who may be given which role on what, and that brokers know.

use crate::fixture::{Engine, FakeBroker, Installation};

on_both_engines! {
    async fn brokers_have_the_bindings_of_each_organization_that_they_host(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let (globex_organization, globex) = installation.another_organization().await;
        assert_eq!(broker.image().role_bindings.len(), 0, "nobody has a cluster there");
        let environment = globex.create_environment("staging").await;
        let cluster = globex.create_cluster(&environment, "one").await;
        globex.wait_provisioned(&environment, &cluster).await;
        let by_delta = broker.image().role_bindings;
        let binding = by_delta.values().next().expect("the binding of the first user");
        assert_eq!(by_delta.len(), 1);
        assert_eq!(binding.principal, format!("User:{}", globex_organization.user_id));
        assert_eq!(binding.organization_id, globex_organization.organization_id.to_string());
        assert_eq!(binding.role_name, "OrganizationAdmin");
        let address = installation.control_plane().fleet_address();
        let newcomer = FakeBroker::connect(address, agent.desired(), 2).await;
        let image = newcomer.wait_for(|image| !image.role_bindings.is_empty()).await;
        assert_eq!(image.role_bindings, by_delta, "a snapshot says the same");
    }
}
