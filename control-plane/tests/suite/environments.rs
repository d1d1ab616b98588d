//! org/v2: environments and the organization.

use serde_json::json;

use crate::fixture::{Engine, Installation};

on_both_engines! {
    async fn deleting_an_environment_with_clusters_is_refused(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        rest.delete(&format!("/org/v2/environments/{environment}")).await.expect_error(409);
        rest.get(&format!("/org/v2/environments/{environment}")).await.expect(200);
        rest.delete(&format!("/cmk/v2/clusters/{cluster}?environment={environment}")).await.expect(204);
        rest.delete(&format!("/org/v2/environments/{environment}")).await.expect(204);
        rest.delete(&format!("/org/v2/environments/{environment}")).await.expect_error(404);
    }

    async fn two_environments_cannot_have_the_same_name_but_two_organizations_can(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        rest.create_environment("staging").await;
        // Worded in another way: the same words again would be a repetition after a lost answer.
        let again = rest.post("/org/v2/environments", json!({"display_name":"staging","again":true})).await;
        assert_eq!(again.expect_error(409), "/display_name");
        let other = rest.create_environment("other").await;
        let renamed = rest.patch(&format!("/org/v2/environments/{other}"), json!({"display_name":"staging"})).await;
        assert_eq!(renamed.expect_error(409), "/display_name");
        let (_, globex) = installation.another_organization().await;
        globex.create_environment("staging").await;
    }

    async fn a_patch_without_fields_changes_nothing(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let before = rest.get(&format!("/org/v2/environments/{environment}")).await.expect(200).json();
        let after = rest.patch(&format!("/org/v2/environments/{environment}"), json!({})).await.expect(200).json();
        assert_eq!(before, after);
    }

    async fn a_caller_sees_its_own_organization_and_no_other(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let list = rest.get("/org/v2/organizations").await.expect(200).json();
        let own = installation.organization.organization_id.to_string();
        assert_eq!(list["data"][0]["id"], json!(own));
        assert_eq!(list["metadata"]["total_size"], json!(1));
        let read = rest.get(&format!("/org/v2/organizations/{own}")).await.expect(200);
        assert_eq!(read.text_at("/display_name"), "Acme");
        let (other, _) = installation.another_organization().await;
        rest.get(&format!("/org/v2/organizations/{}", other.organization_id)).await.expect_error(404);
    }
}
