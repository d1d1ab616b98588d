//! Tests of the forward stream against a control plane that the test plays.

use axum::Extension;
use axum::routing::{get, post};

use super::*;
use crate::fleet::test_control_plane::{self, Accepted};

struct Peer(Accepted<ForwardedResponse, ForwardedRequest>);

impl Peer {
    async fn ask(&mut self, request: ForwardedRequest) -> (u32, String) {
        let id = request.id;
        self.0.outgoing.send(Ok(request)).await.unwrap();
        let Outgoing::Answer(answer) = self.receive().await else { panic!("not an answer") };
        assert_eq!(answer.id, id);
        (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
    }

    async fn receive(&mut self) -> Outgoing {
        self.0.incoming.message().await.unwrap().unwrap().response.unwrap()
    }
}

async fn who(Extension(caller): Extension<Caller>, Extension(base): Extension<BaseUrl>, body: String) -> String {
    format!("{} {} {} {body}", caller.tenant, caller.principal, base.0)
}

async fn start() -> (Peer, CancellationToken) {
    let (endpoint, _, mut streams) = test_control_plane::start().await;
    let identity = BrokerIdentity { physical_cluster_id: "pkc-a".to_owned(), broker_id: 3, boot_id: "boot".to_owned() };
    let router = Router::new()
        .route("/kafka/v3/who", post(who))
        .route(
            "/kafka/v3/panic",
            get(|| async {
                if true {
                    panic!("on purpose")
                }
            }),
        )
        .route(
            "/kafka/v3/made",
            post(|| async { (StatusCode::CREATED, [("location", "/there"), ("retry-after", "7")]) }),
        )
        .route("/metrics", get(|| async { "secret" }));
    let shutdown = CancellationToken::new();
    let address = replicas::look_up(&endpoint.url).await.unwrap()[0];
    let stream = Arc::new(ForwardStream { endpoint, identity, status: Arc::default(), router });
    tokio::spawn(stream.run(address, Arc::new(AtomicBool::new(true)), shutdown.clone()));
    let mut peer = Peer(streams.recv().await.unwrap());
    let Outgoing::Hello(hello) = peer.receive().await else { panic!("the first message is not a hello") };
    assert_eq!((hello.broker_id, peer.0.authorization.as_str()), (3, "Bearer the-token"));
    (peer, shutdown)
}

fn request(id: u64, method: &str, path: &str) -> ForwardedRequest {
    ForwardedRequest {
        id,
        logical_cluster_id: "lkc-a".to_owned(),
        principal: "User:sa-a".to_owned(),
        method: method.to_owned(),
        path_and_query: path.to_owned(),
        content_type: "text/plain".to_owned(),
        body: Bytes::from_static(b"hello"),
        base_url: "http://localhost:8080/".to_owned(),
    }
}

#[tokio::test]
async fn a_forwarded_request_reaches_the_handler_with_its_caller() {
    let (mut peer, _shutdown) = start().await;
    let answer = peer.ask(request(7, "POST", "/kafka/v3/who?a=b")).await;
    assert_eq!(answer, (200, "lkc-a User:sa-a http://localhost:8080 hello".to_owned()));
    assert_eq!(peer.ask(request(8, "GET", "/kafka/v3/nothing")).await.0, 404);
}

#[tokio::test]
async fn nothing_but_kafka_v3_is_reachable() {
    let (mut peer, _shutdown) = start().await;
    for path in ["/metrics", "http://other/metrics", "", "/kafka/v3/\n"] {
        assert_eq!(peer.ask(request(1, "GET", path)).await.0, 400, "{path:?}");
    }
}

#[tokio::test]
async fn a_caller_that_cannot_be_understood_is_refused() {
    let (mut peer, _shutdown) = start().await;
    let no_tenant = ForwardedRequest { logical_cluster_id: "other".to_owned(), ..request(1, "POST", "/kafka/v3/who") };
    assert_eq!(peer.ask(no_tenant).await.0, 400);
    let no_principal = ForwardedRequest { principal: String::new(), ..request(2, "POST", "/kafka/v3/who") };
    assert_eq!(peer.ask(no_principal).await.0, 400);
}

#[tokio::test]
async fn a_handler_that_panics_costs_only_its_own_request() {
    let (mut peer, _shutdown) = start().await;
    assert_eq!(peer.ask(request(1, "GET", "/kafka/v3/panic")).await.0, 500);
    assert_eq!(peer.ask(request(2, "POST", "/kafka/v3/who")).await.0, 200);
}

#[tokio::test]
async fn more_requests_than_slots_are_all_answered() {
    let (mut peer, _shutdown) = start().await;
    let outgoing = peer.0.outgoing.clone();
    let count = MAX_CONCURRENT as u64 * 3;
    let sender = tokio::spawn(async move {
        for id in 0..count {
            outgoing.send(Ok(request(id, "POST", "/kafka/v3/who"))).await.unwrap();
        }
    });
    let mut seen = std::collections::BTreeSet::new();
    while (seen.len() as u64) < count {
        let Outgoing::Answer(answer) = peer.receive().await else { panic!("not an answer") };
        assert!(answer.status == 200 && seen.insert(answer.id));
    }
    sender.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_something_was_made_and_when_to_try_again_are_passed_on() {
    let (mut peer, shutdown) = start().await;
    peer.0.outgoing.send(Ok(request(1, "POST", "/kafka/v3/made"))).await.unwrap();
    let Outgoing::Answer(answer) = peer.receive().await else { panic!("not an answer") };
    assert_eq!((answer.status, answer.location.as_str(), answer.retry_after.as_str()), (201, "/there", "7"));
    shutdown.cancel();
}
