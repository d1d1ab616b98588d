//! Client quotas: what is accepted, and what brokers learn.

use serde_json::{Value, json};

use crate::fixture::rest::client_quota_body;
use crate::fixture::{Answer, Engine, FakeAgent, FakeBroker, Installation, Rest};

const PATH: &str = "/kafka-quotas/v1/client-quotas";

/// An installation with a Dedicated cluster.
struct World {
    installation: Installation,
    broker: FakeBroker,
    environment: String,
    cluster: String,
    account: String,
    _agent: FakeAgent,
}

impl World {
    async fn start(engine: Engine) -> Self {
        let installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let environment = installation.rest.create_environment("staging").await;
        let cluster = installation.rest.create_cluster(&environment, "one").await;
        installation.rest.wait_provisioned(&environment, &cluster).await;
        let dedicated = format!("UPDATE logical_clusters SET kind = 'Dedicated', units = 1 WHERE id = '{cluster}'");
        installation.run_statement(&dedicated).await;
        let account = installation.rest.create_service_account("app").await;
        Self { installation, broker, environment, cluster, account, _agent: agent }
    }

    fn rest(&self) -> &Rest {
        &self.installation.rest
    }

    fn body(&self, principals: &[&str]) -> Value {
        client_quota_body(&self.environment, &self.cluster, principals)
    }

    async fn post(&self, principals: &[&str]) -> Answer {
        self.rest().post(PATH, self.body(principals)).await
    }

    /// Changes one place of an acceptable body and checks the refusal.
    async fn check_refused(&self, pointer: &str, value: Value, status: u16, points_at: &str) {
        let mut body = self.body(&[&self.account]);
        *body.pointer_mut(pointer).expect("a place in the body") = value.clone();
        let answer = self.rest().post(PATH, body).await.expect(status);
        assert_eq!(answer.text_at("/errors/0/source/pointer"), points_at, "{value}: {}", answer.text);
    }
}

on_both_engines! {
    async fn a_quota_is_on_the_broker_when_it_is_answered_and_gone_when_its_end_is(engine: Engine) {
        let world = World::start(engine).await;
        let created = world.post(&[&world.account, "<default>"]).await.expect(202);
        let id = created.text_at("/id");
        assert!(id.starts_with("cq-"), "{id}");
        assert_eq!(created.headers["location"].to_str().expect("text"), created.text_at("/metadata/self"));
        assert_eq!(created.text_at("/spec/throughput/ingress_byte_rate"), "100");
        assert_eq!(created.text_at("/spec/throughput/egress_byte_rate"), "200");
        assert_eq!(created.text_at("/spec/principals/1/id"), "<default>");
        assert!(created.text_at("/spec/cluster/resource_name").contains(&world.cluster));
        let on_broker = world.broker.image().client_quotas[&id].clone();
        assert_eq!(on_broker.principals, [format!("User:{}", world.account), "<default>".into()]);
        assert_eq!((on_broker.ingress_byte_rate, on_broker.egress_byte_rate), (100, 200));
        assert_eq!(on_broker.logical_cluster_id, world.cluster);
        let path = format!("{PATH}/{id}");
        assert_eq!(world.rest().get(&path).await.expect(200).json(), created.json());

        let change = json!({"spec":{"throughput":{"ingress_byte_rate":"300","egress_byte_rate":"9223372036854775807"},
            "display_name":"q2","description":"","principals":[{"id":world.account}]}});
        let changed = world.rest().patch(&path, change).await.expect(200);
        assert_eq!(changed.text_at("/spec/display_name"), "q2");
        assert_eq!(changed.json()["spec"]["principals"].as_array().expect("a list").len(), 1);
        let on_broker = world.broker.image().client_quotas[&id].clone();
        assert_eq!(on_broker.principals, [format!("User:{}", world.account)]);
        assert_eq!((on_broker.ingress_byte_rate, on_broker.egress_byte_rate), (300, i64::MAX.cast_unsigned()));
        // The place that was given up can be taken.
        world.post(&["<default>"]).await.expect(202);

        world.rest().delete(&path).await.expect(204);
        assert!(!world.broker.image().client_quotas.contains_key(&id));
        world.rest().get(&path).await.expect(404);
        world.rest().delete(&path).await.expect(404);
        let list = format!("{PATH}?spec.cluster={}&environment={}", world.cluster, world.environment);
        let listed = world.rest().get(&list).await.expect(200).json();
        assert_eq!(listed["data"].as_array().expect("a list").len(), 1);
        assert_eq!(listed["kind"], "ClientQuotaList");
        let wrong = world.installation.control_plane().wrong_quota_counters().await.expect("they are counted");
        let wrong: Vec<_> = wrong.iter().filter(|wrong| wrong.contains("client_quotas")).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    async fn a_principal_has_one_quota_in_a_cluster(engine: Engine) {
        let world = World::start(engine).await;
        let first = world.post(&[&world.account]).await.expect(202).text_at("/id");
        let second = world.post(&["<default>"]).await.expect(202).text_at("/id");
        let refused = world.post(&[&world.account]).await.expect(409);
        assert_eq!(refused.text_at("/errors/0/source/pointer"), "/spec/principals/0/id");
        let both = json!({"spec":{"principals":[{"id":"<default>"},{"id":world.account}]}});
        let refused = world.rest().patch(&format!("{PATH}/{second}"), both.clone()).await.expect(409);
        assert_eq!(refused.text_at("/errors/0/source/pointer"), "/spec/principals/1/id");
        world.rest().delete(&format!("{PATH}/{first}")).await.expect(204);
        world.rest().patch(&format!("{PATH}/{second}"), both).await.expect(200);
    }

    async fn what_is_not_acceptable_is_refused_and_the_field_is_pointed_at(engine: Engine) {
        let world = World::start(engine).await;
        let ingress = "/spec/throughput/ingress_byte_rate";
        for rate in [json!(100), json!("0"), json!("-1"), json!("1.5"), json!("9223372036854775808"), json!("")] {
            world.check_refused(ingress, rate, 400, ingress).await;
        }
        world.check_refused("/spec/principals", json!([]), 400, "/spec/principals").await;
        let principal = "/spec/principals/0/id";
        world.check_refused(principal, json!("User:sa-x"), 400, principal).await;
        world.check_refused(principal, json!("sa-unknown"), 404, principal).await;
        let user = world.installation.organization.user_id.to_string();
        world.check_refused(principal, json!(user), 400, principal).await;
        let twice = json!([{"id":world.account},{"id":world.account}]);
        world.check_refused("/spec/principals", twice, 400, "/spec/principals/1/id").await;
        world.check_refused("/spec/display_name", json!(""), 400, "/spec/display_name").await;
        world.check_refused("/spec/cluster/id", json!("lkc-unknown"), 404, "/spec/cluster/id").await;
        let elsewhere = world.rest().create_environment("elsewhere").await;
        world.check_refused("/spec/environment/id", json!(elsewhere), 404, "/spec/environment/id").await;
        let basic = world.rest().create_cluster(&world.environment, "basic").await;
        world.check_refused("/spec/cluster/id", json!(basic), 422, "/spec/cluster/id").await;
        assert!(world.broker.image().client_quotas.is_empty());

        let id = world.post(&[&world.account]).await.expect(202).text_at("/id");
        let moved = json!({"spec":{"cluster":{"id":basic}}});
        let refused = world.rest().patch(&format!("{PATH}/{id}"), moved).await.expect(400);
        assert_eq!(refused.text_at("/errors/0/source/pointer"), "/spec/cluster/id");
    }

    async fn deleting_a_cluster_deletes_its_quotas(engine: Engine) {
        let world = World::start(engine).await;
        let id = world.post(&[&world.account]).await.expect(202).text_at("/id");
        let path = format!("/cmk/v2/clusters/{}?environment={}", world.cluster, world.environment);
        world.rest().delete(&path).await.expect(204);
        assert!(!world.broker.image().client_quotas.contains_key(&id));
        world.rest().get(&format!("{PATH}/{id}")).await.expect(404);
    }

    async fn a_quota_of_a_deleted_service_account_can_still_be_changed(engine: Engine) {
        let world = World::start(engine).await;
        let id = world.post(&[&world.account]).await.expect(202).text_at("/id");
        world.rest().delete(&format!("/iam/v2/service-accounts/{}", world.account)).await.expect(204);
        let kept = json!({"spec":{"display_name":"kept","principals":[{"id":world.account}]}});
        world.rest().patch(&format!("{PATH}/{id}"), kept).await.expect(200);
    }

    async fn a_snapshot_has_the_quotas(engine: Engine) {
        let world = World::start(engine).await;
        let id = world.post(&["<default>"]).await.expect(202).text_at("/id");
        let by_delta = world.broker.image().client_quotas;
        let address = world.installation.control_plane().fleet_address();
        let newcomer = FakeBroker::connect(address, world._agent.desired(), 2).await;
        let image = newcomer.wait_for(|image| image.client_quotas.contains_key(&id)).await;
        assert_eq!(image.client_quotas, by_delta);
    }

    async fn a_cluster_that_is_placed_later_brings_its_quotas(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let dedicated = format!("UPDATE logical_clusters SET kind = 'Dedicated', units = 1 WHERE id = '{cluster}'");
        installation.run_statement(&dedicated).await;
        let body = client_quota_body(&environment, &cluster, &["<default>"]);
        let id = rest.post(PATH, body).await.expect(202).text_at("/id");
        // Back again, so that a physical cluster that hosts many takes it.
        let basic = format!("UPDATE logical_clusters SET kind = 'Basic', units = 0 WHERE id = '{cluster}'");
        installation.run_statement(&basic).await;
        let (_agent, broker) = installation.fleet().await;
        rest.wait_provisioned(&environment, &cluster).await;
        broker.wait_for(|image| image.client_quotas.contains_key(&id)).await;
    }
}
