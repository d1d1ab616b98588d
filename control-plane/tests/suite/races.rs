//! Requests at the same moment: nothing is half done, nothing is left over, nobody gets a 500.

use serde_json::json;
use tokio::task::JoinSet;

use crate::fixture::rest::kafka_key_body;
use crate::fixture::{Engine, Installation};

on_both_engines! {
    async fn keys_made_while_their_owner_is_deleted_leave_no_orphans(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        for round in 0..5 {
            let account = rest.create_service_account(&format!("app {round}")).await;
            let mut requests = JoinSet::new();
            for _ in 0..10 {
                let (rest, body) = (rest.clone(), kafka_key_body(&account, &cluster));
                requests.spawn(async move { rest.post("/iam/v2/api-keys", body).await.status });
            }
            let (rest_of_deleter, path) = (rest.clone(), format!("/iam/v2/service-accounts/{account}"));
            requests.spawn(async move { rest_of_deleter.delete(&path).await.status });
            while let Some(status) = requests.join_next().await {
                let status = status.expect("it is answered");
                assert!([202, 204, 404, 503].contains(&status), "{status}");
            }
            let _ = rest.delete(&format!("/iam/v2/service-accounts/{account}")).await;
            let left = rest.get(&format!("/iam/v2/api-keys?spec.owner={account}")).await.expect(200).json();
            assert_eq!(left["data"], json!([]));
        }
        // A last change, so that what the broker knows is what the database says.
        let account = rest.create_service_account("last").await;
        let (key, _) = rest.create_kafka_key(&account, &cluster).await;
        assert_eq!(broker.image().api_keys.keys().collect::<Vec<_>>(), [&key]);
    }

    async fn clusters_made_while_their_environment_is_deleted_leave_no_orphans(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        for round in 0..5 {
            let environment = rest.create_environment(&format!("staging {round}")).await;
            let mut requests = JoinSet::new();
            for number in 0..5 {
                let (rest, environment) = (rest.clone(), environment.clone());
                requests.spawn(async move { rest.post_cluster(&environment, &format!("{number}")).await.status });
                }
            let (deleter, path) = (rest.clone(), format!("/org/v2/environments/{environment}"));
            requests.spawn(async move { deleter.delete(&path).await.status });
            let mut statuses = Vec::new();
            while let Some(status) = requests.join_next().await {
                statuses.push(status.expect("it is answered"));
            }
            assert!(statuses.iter().all(|status| [202, 204, 402, 404, 409, 503].contains(status)), "{statuses:?}");
            let is_gone = rest.get(&format!("/org/v2/environments/{environment}")).await.status == 404;
            let made = statuses.iter().filter(|status| **status == 202).count();
            assert!(!is_gone || made == 0, "{statuses:?}");
        }
        drop(broker);
    }

    async fn many_writers_leave_no_gap_in_the_revisions(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let account = rest.create_service_account("app").await;
        let mut requests = JoinSet::new();
        for _ in 0..16 {
            let (rest, account, cluster) = (rest.clone(), account.clone(), cluster.clone());
            requests.spawn(async move {
                for _ in 0..5 {
                    let (key, _) = rest.create_kafka_key(&account, &cluster).await;
                    rest.delete(&format!("/iam/v2/api-keys/{key}")).await.expect(204);
                }
            });
        }
        while let Some(done) = requests.join_next().await {
            done.expect("it is answered");
        }
        // The fake broker checks each delta; a gap would have ended it.
        let (key, secret) = rest.create_kafka_key(&account, &cluster).await;
        let image = broker.image();
        assert!(image.authenticates(&key, &secret));
        assert_eq!((image.api_keys.len(), image.snapshots, image.ended), (1, 1, None));
    }

    async fn one_name_is_given_once(engine: Engine) {
        let installation = Installation::start(engine).await;
        let mut requests = JoinSet::new();
        for number in 0..10 {
            let rest = installation.rest.clone();
            // Each worded in its own way, so that none is the repetition of another.
            let body = json!({"display_name":"x","number":number});
            requests.spawn(async move { rest.post("/org/v2/environments", body).await.status });
        }
        let statuses = requests.join_all().await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 9, "{statuses:?}");
    }
}
