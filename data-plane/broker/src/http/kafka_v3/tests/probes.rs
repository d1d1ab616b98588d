//! Probes of whoever runs the broker, at the same front door.

use super::*;

const PRE: &str = "/v1/restart-probe/pre";
const POST: &str = "/v1/restart-probe/post";

#[tokio::test(flavor = "multi_thread")]
async fn health_says_alive_and_readiness_says_why() {
    let fixture = start().await;
    let (status, health) = send(fixture.client.get(format!("{}/health", fixture.base))).await;
    assert_eq!((status, &health["status"]), (200, &json!("ok")));
    let (status, ready) = send(fixture.client.get(format!("{}/ready", fixture.base))).await;
    assert_eq!((status, &ready["ready"], &ready["configuration_revision"]), (200, &json!(true), &json!(1)));
    assert_eq!((&ready["control_plane"], &ready["object_store"]), (&json!(true), &json!("none")));
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_waits_for_a_configuration_only_if_there_is_a_control_plane() {
    let ready_of = async |fleet: Option<FleetEndpoint>| {
        let (broker, base) = start_broker(&TempDir::new().unwrap(), fleet).await;
        let client = Client::new();
        let ready = send(client.get(format!("{base}/ready"))).await.0;
        let back = send(client.get(format!("{base}{POST}"))).await.0;
        broker.shutdown().await;
        (ready, back)
    };
    assert_eq!(ready_of(None).await, (200, 200));
    assert_eq!(ready_of(Some(FleetEndpoint::plain("http://127.0.0.1:1", "x"))).await, (503, 503));
}

/// Status and answer of a probe.
async fn probe(fixture: &Fixture, path: &str) -> (u16, Value) {
    let (status, answer) = send(fixture.client.get(format!("{}{path}", fixture.base))).await;
    assert_eq!(answer["safe"], json!(status == 200), "{answer}");
    assert!(answer["reasons"].is_array(), "{answer}");
    (status, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_says_that_it_may_be_restarted_and_that_its_records_are_nowhere_else() {
    let fixture = start().await;
    assert_eq!(probe(&fixture, PRE).await, (200, json!({ "safe": true, "reasons": [] })));
    assert_eq!(probe(&fixture, POST).await.0, 200);
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t" })).await.0, 201);
    let (status, answer) = probe(&fixture, PRE).await;
    assert_eq!((status, answer["reasons"].as_array().unwrap().len()), (200, 1), "{answer}");
    assert!(answer["reasons"][0].as_str().unwrap().contains("on this broker alone"), "{answer}");
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_whose_control_plane_does_not_answer_is_not_back_but_may_be_restarted() {
    let fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t" })).await.0, 201);
    fixture.broker.shutdown().await;
    let nobody = FleetEndpoint::plain("http://127.0.0.1:1", "x");
    let (broker, base) = start_broker(&fixture.dir, Some(nobody)).await;
    let fixture = Fixture { broker, base, ..fixture };
    let (status, answer) = probe(&fixture, POST).await;
    assert_eq!(status, 503);
    assert!(answer["reasons"][0].as_str().unwrap().contains("control plane is not connected"), "{answer}");
    assert_eq!(probe(&fixture, PRE).await.0, 200, "a broker does not need its control plane");
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_do_not_reach_the_probes_over_the_control_plane() {
    let mut fixture = start().await;
    let mut stream = fixture.forwards.recv().await.unwrap();
    for path in [PRE, POST] {
        let request = ForwardedRequest {
            id: 1,
            logical_cluster_id: "lkc-a".to_owned(),
            principal: "User:sa-a".to_owned(),
            method: "GET".to_owned(),
            path_and_query: path.to_owned(),
            ..ForwardedRequest::default()
        };
        stream.outgoing.send(Ok(request)).await.unwrap();
        let status = loop {
            let message = stream.incoming.message().await.unwrap().unwrap();
            if let Some(forwarded_response::Response::Answer(answer)) = message.response {
                break answer.status;
            }
        };
        assert_eq!(status, 400, "{path}");
    }
    fixture.broker.shutdown().await;
}
