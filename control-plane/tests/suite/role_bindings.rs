//! Role bindings: who may be given which role on what, and that brokers know.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::fixture::rest::role_binding_body;
use crate::fixture::{Answer, Engine, FakeBroker, Installation, Rest};

const PATH: &str = "/iam/v2/role-bindings";

fn organization_crn(installation: &Installation) -> String {
    format!("crn://confluent.cloud/organization={}", installation.organization.organization_id)
}

async fn bind(rest: &Rest, principal: &str, role_name: &str, crn: &str) -> Answer {
    rest.post(PATH, role_binding_body(principal, role_name, crn)).await
}

/// Ids in a list.
fn ids(list: &Value) -> BTreeSet<&str> {
    list["data"].as_array().expect("a list").iter().map(|item| item["id"].as_str().expect("an id")).collect()
}

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

    async fn a_binding_is_made_read_listed_and_deleted(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        rest.wait_provisioned(&environment, &cluster).await;
        let account = rest.create_service_account("app").await;
        let crn = format!("{}/environment={environment}/cloud-cluster={cluster}", organization_crn(&installation));

        let made = bind(rest, &account, "CloudClusterAdmin", &crn).await.expect(201);
        let id = made.text_at("/id");
        assert_eq!(made.text_at("/principal"), format!("User:{account}"));
        assert_eq!(made.text_at("/role_name"), "CloudClusterAdmin");
        assert_eq!(made.text_at("/crn_pattern"), crn);
        assert_eq!(made.headers["location"], made.text_at("/metadata/self"));
        assert!(broker.image().role_bindings.contains_key(&id), "it is not on the broker when it is answered");
        let read = rest.get(&format!("{PATH}/{id}")).await.expect(200);
        assert_eq!(read.json(), made.json());
        bind(rest, &account, "CloudClusterAdmin", &format!("{crn}/kafka={cluster}")).await.expect_error(409);

        let deleted = rest.delete(&format!("{PATH}/{id}")).await.expect(200);
        let mut last = made.json();
        last.as_object_mut().expect("an object").remove("status");
        assert_eq!(deleted.json(), last);
        assert!(!broker.image().role_bindings.contains_key(&id), "it is on the broker when its end is answered");
        rest.get(&format!("{PATH}/{id}")).await.expect_error(404);
        rest.delete(&format!("{PATH}/{id}")).await.expect_error(404);
    }

    async fn a_list_shows_what_is_bound_to_something_and_in_it(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let (one, two) = (rest.create_environment("one").await, rest.create_environment("two").await);
        let cluster = rest.create_cluster(&one, "one").await;
        let (app, other) = (rest.create_service_account("app").await, rest.create_service_account("other").await);
        let crn = organization_crn(&installation);
        let in_one = format!("{crn}/environment={one}");
        let on_cluster = format!("{in_one}/cloud-cluster={cluster}");
        let a = rest.bind_role(&app, "EnvironmentAdmin", &in_one).await;
        let b = rest.bind_role(&app, "CloudClusterAdmin", &on_cluster).await;
        let c = rest.bind_role(&other, "EnvironmentAdmin", &format!("{crn}/environment={two}")).await;
        let d = rest.bind_role(&other, "MetricsViewer", &in_one).await;
        for (query, expected) in [
            (format!("crn_pattern={crn}&principal=User:{other}"), vec![&c, &d]),
            (format!("crn_pattern={in_one}"), vec![&a, &b, &d]),
            (format!("crn_pattern={in_one}/*"), vec![&a, &b, &d]),
            (format!("crn_pattern={in_one}&role_name=EnvironmentAdmin"), vec![&a]),
            (format!("crn_pattern={on_cluster}/kafka={cluster}"), vec![&b]),
            (format!("crn_pattern={on_cluster}&principal=User:{other}"), vec![]),
        ] {
            let list = rest.get(&format!("{PATH}?{query}")).await.expect(200).json();
            assert_eq!(ids(&list), expected.iter().map(|id| id.as_str()).collect(), "{query}");
            assert_eq!(list["metadata"]["total_size"], json!(expected.len()), "{query}");
        }
        let all = rest.get(&format!("{PATH}?crn_pattern={crn}")).await.expect(200).json();
        assert_eq!(all["data"].as_array().expect("a list").len(), 5, "with that of the first user");
        assert_eq!(rest.get(PATH).await.expect_error(400), "crn_pattern");
        assert_eq!(rest.get(&format!("{PATH}?crn_pattern=x")).await.expect_error(400), "crn_pattern");
        let wrong = rest.get(&format!("{PATH}?crn_pattern={crn}&principal=me")).await;
        assert_eq!(wrong.expect_error(400), "principal");
        let wrong = rest.get(&format!("{PATH}?crn_pattern={crn}&role_name=King")).await;
        assert_eq!(wrong.expect_error(400), "role_name");
    }

    async fn what_makes_no_sense_is_refused_and_names_its_field(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let account = rest.create_service_account("app").await;
        let crn = organization_crn(&installation);
        let on_cluster = format!("{crn}/environment={environment}/cloud-cluster={cluster}");
        for (principal, role, pattern, status, field) in [
            (&account, "King", crn.clone(), 400, "/role_name"),
            (&account, "OrganizationAdmin", "crn://x".into(), 400, "/crn_pattern"),
            (&account, "OrganizationAdmin", format!("{crn}/environment=1"), 400, "/crn_pattern"),
            (&"pool-1".to_owned(), "OrganizationAdmin", crn.clone(), 400, "/principal"),
            (&"sa-nobody".to_owned(), "OrganizationAdmin", crn.clone(), 404, "/principal"),
            (&account, "EnvironmentAdmin", crn.clone(), 422, "/role_name"),
            (&account, "OrganizationAdmin", on_cluster.clone(), 422, "/role_name"),
            (&account, "EnvironmentAdmin", format!("{crn}/environment=env-nobody"), 404, "/crn_pattern"),
            (&account, "DeveloperRead", format!("{on_cluster}/kafka={cluster}/topic=orders*"), 422, "/role_name"),
        ] {
            let answer = bind(rest, principal, role, &pattern).await;
            assert_eq!(answer.expect_error(status), field, "{role} {pattern}");
        }
        let list = rest.get(&format!("{PATH}?crn_pattern={crn}")).await.expect(200).json();
        assert_eq!(list["data"].as_array().expect("a list").len(), 1, "only that of the first user");
    }

    async fn the_last_administrator_cannot_be_taken_away(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let crn = organization_crn(&installation);
        let list = rest.get(&format!("{PATH}?crn_pattern={crn}")).await.expect(200);
        let first = list.text_at("/data/0/id");
        rest.delete(&format!("{PATH}/{first}")).await.expect_error(409);
        let account = rest.create_service_account("root").await;
        let second = rest.bind_role(&account, "OrganizationAdmin", &crn).await;
        let root = rest.create_cloud_key(&account).await;
        root.delete(&format!("{PATH}/{first}")).await.expect(200);
        root.delete(&format!("{PATH}/{second}")).await.expect_error(409);
        root.delete(&format!("/iam/v2/service-accounts/{account}")).await.expect_error(409);
        // The first user has no role any more, and no right.
        rest.delete(&format!("{PATH}/{second}")).await.expect_error(404);
        rest.post("/org/v2/environments", json!({"display_name":"x"})).await.expect_error(403);
    }

    async fn bindings_go_with_what_they_are_for_and_whom(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let (kept, environment) = (rest.create_environment("kept").await, rest.create_environment("gone").await);
        for name in ["kept", "one"] {
            let cluster = rest.create_cluster(&kept, name).await;
            rest.wait_provisioned(&kept, &cluster).await;
        }
        let cluster = rest.create_cluster(&environment, "gone").await;
        rest.wait_provisioned(&environment, &cluster).await;
        let (app, other) = (rest.create_service_account("app").await, rest.create_service_account("other").await);
        let crn = organization_crn(&installation);
        let in_environment = format!("{crn}/environment={environment}");
        let stays = rest.bind_role(&other, "MetricsViewer", &crn).await;
        let on_account = rest.bind_role(&other, "ResourceOwner", &format!("{crn}/service-account={app}")).await;
        let of_account = rest.bind_role(&app, "MetricsViewer", &crn).await;
        let on_cluster =
            rest.bind_role(&other, "CloudClusterAdmin", &format!("{in_environment}/cloud-cluster={cluster}")).await;
        let on_environment = rest.bind_role(&other, "EnvironmentAdmin", &in_environment).await;
        for (path, gone) in [
            (format!("/cmk/v2/clusters/{cluster}?environment={environment}"), vec![on_cluster]),
            (format!("/iam/v2/service-accounts/{app}"), vec![on_account, of_account]),
            (format!("/org/v2/environments/{environment}"), vec![on_environment]),
        ] {
            rest.delete(&path).await.expect(204);
            for id in gone {
                assert!(!broker.image().role_bindings.contains_key(&id), "{path}");
                rest.get(&format!("{PATH}/{id}")).await.expect_error(404);
            }
        }
        assert!(broker.image().role_bindings.contains_key(&stays));
    }

    async fn a_binding_and_a_cluster_made_at_the_same_moment_do_not_miss_each_other(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let crn = organization_crn(&installation);
        for round in 0..10 {
            let environment = rest.create_environment(&format!("environment {round}")).await;
            let mut requests = JoinSet::new();
            for number in 0..3 {
                let account = rest.create_service_account(&format!("app {round} {number}")).await;
                let (rest, crn) = (rest.clone(), crn.clone());
                requests.spawn(async move {
                    bind(&rest, &account, "MetricsViewer", &crn).await.expect(201);
                });
            }
            let (rest_of_creator, in_environment) = (rest.clone(), environment.clone());
            requests.spawn(async move {
                rest_of_creator.create_cluster(&in_environment, "one").await;
            });
            requests.join_all().await;
            let clusters = rest.get(&format!("/cmk/v2/clusters?environment={environment}")).await.expect(200);
            let cluster = clusters.text_at("/data/0/id");
            rest.wait_provisioned(&environment, &cluster).await;
            assert_eq!(broker.image().role_bindings.len(), 1 + 3 * (round + 1), "round {round}");
            // Without a cluster there, brokers forget: so does a new one.
            rest.delete(&format!("/cmk/v2/clusters/{cluster}?environment={environment}")).await.expect(204);
        }
        let address = installation.control_plane().fleet_address();
        let newcomer = FakeBroker::connect(address, agent.desired(), 2).await;
        assert_eq!(newcomer.image().role_bindings.len(), 0);
    }
}
