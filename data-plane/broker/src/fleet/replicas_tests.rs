//! Tests against control planes that the test plays.

use std::sync::Mutex;

use axum::Router;
use axum::routing::get;
use millstream_api::fleet::ForwardedRequest;
use millstream_api::fleet::forwarded_response::Response;

use super::super::config_stream::BrokerIdentity;
use super::super::status::FleetStatus;
use super::super::test_control_plane::{self, ForwardStreams};
use super::*;

/// A replica that the test plays: where it listens, and the streams that come.
struct Replica {
    address: SocketAddr,
    streams: ForwardStreams,
}

async fn replica() -> (Replica, crate::config::FleetEndpoint) {
    let (endpoint, _, streams) = test_control_plane::start().await;
    let address = look_up(&endpoint.url).await.unwrap()[0];
    (Replica { address, streams }, endpoint)
}

impl Replica {
    /// Takes the next stream and has a request answered over it.
    async fn is_served(&mut self) {
        let mut stream = self.streams.recv().await.unwrap();
        let hello = stream.incoming.message().await.unwrap().unwrap();
        assert!(matches!(hello.response, Some(Response::Hello(_))), "{hello:?}");
        let request = ForwardedRequest {
            id: 7,
            logical_cluster_id: "lkc-a".to_owned(),
            principal: "User:sa-a".to_owned(),
            method: "GET".to_owned(),
            path_and_query: "/kafka/v3/clusters".to_owned(),
            ..ForwardedRequest::default()
        };
        stream.outgoing.send(Ok(request)).await.unwrap();
        let answer = stream.incoming.message().await.unwrap().unwrap();
        assert!(matches!(answer.response, Some(Response::Answer(ref answer)) if answer.status == 200), "{answer:?}");
    }
}

/// A broker whose control plane has the addresses that the test sets.
struct Broker {
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    status: Arc<FleetStatus>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

fn broker(endpoint: crate::config::FleetEndpoint, addresses: Vec<SocketAddr>) -> Broker {
    let identity = BrokerIdentity { physical_cluster_id: "pkc-a".to_owned(), broker_id: 3, boot_id: "boot".to_owned() };
    let router = Router::new().route("/kafka/v3/clusters", get(|| async { "here" }));
    let status = Arc::<FleetStatus>::default();
    let stream = Arc::new(ForwardStream { endpoint, identity, status: Arc::clone(&status), router });
    let addresses = Arc::new(Mutex::new(addresses));
    let shutdown = CancellationToken::new();
    let look_up = {
        let addresses = Arc::clone(&addresses);
        move || {
            let found = addresses.lock().unwrap().clone();
            async move {
                // No address stands for a name that cannot be looked up.
                if found.is_empty() { Err(io::Error::other("no such host")) } else { Ok(found) }
            }
        }
    };
    let task = tokio::spawn(run(stream, look_up, shutdown.clone()));
    Broker { addresses, status, shutdown, task }
}

#[tokio::test]
async fn every_replica_can_have_its_requests_answered_also_one_that_comes_later() {
    let (mut first, endpoint) = replica().await;
    let (mut second, _) = replica().await;
    let (mut third, _) = replica().await;
    let broker = broker(endpoint, vec![first.address, second.address]);
    first.is_served().await;
    second.is_served().await;
    broker.addresses.lock().unwrap().push(third.address);
    third.is_served().await;
    broker.shutdown.cancel();
    broker.task.await.unwrap();
    assert!(!broker.status.report().forward_connected);
}

#[tokio::test]
async fn a_stream_that_ended_is_opened_again_only_where_the_name_still_leads() {
    let (mut stays, endpoint) = replica().await;
    let (mut goes, _) = replica().await;
    let broker = broker(endpoint, vec![stays.address, goes.address]);
    let first = stays.streams.recv().await.unwrap();
    let second = goes.streams.recv().await.unwrap();
    *broker.addresses.lock().unwrap() = vec![stays.address];
    // The next look-up has taken note when a replica that comes with it is served.
    let (mut marker, _) = replica().await;
    broker.addresses.lock().unwrap().push(marker.address);
    marker.is_served().await;
    drop((first, second));
    stays.is_served().await;
    // The pause before a try is shorter than that before two tries.
    stays.is_served().await;
    assert!(goes.streams.try_recv().is_err(), "a replica that left the name was dialled");
    broker.shutdown.cancel();
    broker.task.await.unwrap();
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_ends_no_stream() {
    let (mut replica, endpoint) = replica().await;
    let broker = broker(endpoint, vec![replica.address]);
    let stream = replica.streams.recv().await.unwrap();
    broker.addresses.lock().unwrap().clear();
    drop(stream);
    replica.is_served().await;
    broker.shutdown.cancel();
    broker.task.await.unwrap();
}

#[tokio::test]
async fn the_address_is_that_of_the_url() {
    assert_eq!(look_up("https://127.0.0.1").await.unwrap(), ["127.0.0.1:443".parse().unwrap()]);
    assert_eq!(look_up("http://[::1]:8081/").await.unwrap(), ["[::1]:8081".parse().unwrap()]);
    assert!(look_up("127.0.0.1").await.is_err());
}
