//! `status.propagation` of API keys and role bindings: whether every live broker knows them, and `?wait=ready`.

use serde_json::{Value, json};

use crate::fixture::broker::{Acknowledging, Image};
use crate::fixture::rest::{kafka_key_body, role_binding_body};
use crate::fixture::{Engine, FakeBroker, Installation};

/// A key and a role binding that an installation has, by path.
struct Made {
    paths: Vec<String>,
    answers: Vec<Value>,
}

/// Makes one of each on a cluster.
async fn make_both(installation: &Installation, query: &str) -> Made {
    let rest = &installation.rest;
    let environment = rest.create_environment("staging").await;
    let cluster = rest.create_cluster(&environment, "one").await;
    let account = rest.create_service_account("app").await;
    let organization = installation.organization.organization_id;
    let crn = format!("crn://confluent.cloud/organization={organization}/environment={environment}");
    let mut made = Made { paths: Vec::new(), answers: Vec::new() };
    for (collection, body) in [
        ("/iam/v2/api-keys", kafka_key_body(&account, &cluster)),
        ("/iam/v2/role-bindings", role_binding_body(&account, "EnvironmentAdmin", &crn)),
    ] {
        let answer = rest.post(&format!("{collection}{query}"), body).await;
        assert!([201, 202].contains(&answer.status), "{answer:?}");
        made.paths.push(format!("{collection}/{}", answer.text_at("/id")));
        made.answers.push(answer.json());
    }
    made
}

fn is_ready(object: &Value) -> bool {
    object["status"] == json!({"propagation": {"state": "READY", "pending_brokers": 0}})
}

fn is_pending(object: &Value, brokers: u32) -> bool {
    object["status"] == json!({"propagation": {"state": "PENDING", "pending_brokers": brokers}})
}

/// A broker that took the snapshot in and acknowledges nothing by itself.
async fn deaf_broker(
    installation: &Installation,
    desired: &millstream_api::fleet::DesiredPhysicalCluster,
) -> FakeBroker {
    let address = installation.control_plane().fleet_address();
    let broker = FakeBroker::connect_with(address, desired, 2, Image::default(), Acknowledging::Never).await;
    broker.wait_for(|image| image.snapshots == 1).await;
    broker
}

on_both_engines! {
    async fn what_a_broker_has_not_acknowledged_is_pending_until_it_does(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, _prompt) = installation.fleet().await;
        let deaf = deaf_broker(&installation, agent.desired()).await;
        let made = make_both(&installation, "").await;
        let rest = &installation.rest;
        for (path, answer) in made.paths.iter().zip(&made.answers) {
            assert!(is_pending(answer, 1), "{answer}");
            let read = rest.get(path).await.expect(200);
            assert!(is_pending(&read.json(), 1), "{}", read.text);
        }
        let tags = tags_of(&installation, &made.paths).await;

        // The waiting read is answered by the acknowledgement.
        let waiting: Vec<_> = made.paths.iter().map(|path| {
            let (rest, path) = (rest.clone(), format!("{path}?wait=ready"));
            tokio::spawn(async move { rest.get(&path).await.expect(200).json() })
        }).collect();
        let image = deaf.wait_for(|image| image.api_keys.len() == 1 && image.role_bindings.len() == 2).await;
        deaf.acknowledge(image.epoch, image.revision).await;
        for read in waiting {
            let read = read.await.expect("it is answered");
            assert!(is_ready(&read), "{read}");
        }
        assert_eq!(tags_of(&installation, &made.paths).await, tags, "brokers have changed the object");
        for path in &made.paths {
            let tags: Vec<_> = tags.iter().map(|tag| ("if-match", tag.as_str())).collect();
            let deleted = rest.send("DELETE", path, &tags, None).await;
            assert!([200, 204].contains(&deleted.status), "{deleted:?}");
        }
    }

    async fn a_post_that_waits_is_answered_when_everybody_knows(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, _prompt) = installation.fleet().await;
        let deaf = deaf_broker(&installation, agent.desired()).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let account = rest.create_service_account("app").await;
        let body = kafka_key_body(&account, &cluster);
        let waiting = tokio::spawn({
            let (rest, body) = (rest.clone(), body.clone());
            async move { rest.post("/iam/v2/api-keys?wait=ready", body).await.expect(202).json() }
        });
        deaf.wait_for(|image| image.api_keys.len() == 1).await;
        // One that does not wait comes later and is answered first, once the usual bound is over.
        let plain = rest.post("/iam/v2/api-keys", body).await.expect(202).json();
        assert!(is_pending(&plain, 1), "{plain}");
        let image = deaf.wait_for(|image| image.api_keys.len() == 2).await;
        deaf.acknowledge(image.epoch, image.revision).await;
        let waited = waiting.await.expect("it is answered");
        assert!(is_ready(&waited), "{waited}");
    }

    async fn what_no_broker_must_know_is_ready(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let first_key = format!("/iam/v2/api-keys/{}", installation.organization.cloud_api_key);
        let read = rest.get(&format!("{first_key}?wait=ready")).await.expect(200).json();
        assert!(is_ready(&read), "{read}");
        let made = make_both(&installation, "?wait=ready").await;
        assert!(made.answers.iter().all(is_ready), "nobody is connected: {:?}", made.answers);
        for path in &made.paths {
            assert_eq!(rest.get(&format!("{path}?wait=forever")).await.expect_error(400), "wait");
        }
    }

    async fn what_was_made_before_its_cluster_had_a_place_is_announced_with_it(engine: Engine) {
        let installation = Installation::start(engine).await;
        let made = make_both(&installation, "").await;
        let rest = &installation.rest;
        let agent = installation.agent().await;
        let placed = "SELECT COUNT(*) FROM logical_clusters WHERE physical_cluster_id IS NOT NULL";
        installation.wait_for_number(placed, 1).await;
        let deaf = deaf_broker(&installation, agent.desired()).await;
        for path in &made.paths {
            let read = rest.get(path).await.expect(200).json();
            assert!(is_pending(&read, 1), "{read}");
        }
        deaf.acknowledge(deaf.image().epoch, deaf.image().revision).await;
        for path in &made.paths {
            let read = rest.get(&format!("{path}?wait=ready")).await.expect(200).json();
            assert!(is_ready(&read), "{read}");
        }
    }
}

async fn tags_of(installation: &Installation, paths: &[String]) -> Vec<String> {
    let mut tags = Vec::with_capacity(paths.len());
    for path in paths {
        let read = installation.rest.get(path).await.expect(200);
        tags.push(read.headers["etag"].to_str().expect("text").to_owned());
    }
    tags
}
