//! Clients that hang up while their connections wait, over real sockets.

use std::sync::mpsc;
use std::time::Duration;

use futures::FutureExt;
use millstream_api::plan::Limits;
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_rustls::TlsConnector;

use super::*;
use crate::front_door::client::{KafkaClient, METADATA, plain_request, produce_to_t, request};
use crate::front_door::{FrontDoor, KEY, OTHER_KEY, TENANT, WHOLE_CLUSTER};
use crate::partition::Partition;
use crate::quotas::tenant::TenantQuota;

const PRODUCE: i16 = 0;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// Only a test that fails takes so long.
const GIVE_UP: Duration = Duration::from_secs(30);
/// The longest that a broker lets a fetch wait, and longer than a test that fails.
const LONG_FETCH_MS: i32 = 60_000;
const HOUR_SECONDS: u64 = 3_600;

/// Looks until it is so.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    assert!(tokio::time::timeout(GIVE_UP, looking).await.is_ok(), "{what}");
}

/// Every connection of the tenant that asked for something already is not read for an hour after its next request.
fn owe_an_hour(quota: &TenantQuota) {
    quota.requests.spend(quota.clock.now(), HOUR_SECONDS * quota.limits().requests_per_second);
}

async fn connect(door: &FrontDoor) -> KafkaClient<TcpStream> {
    let mut client = KafkaClient::log_in(TcpStream::connect(door.address).await.unwrap(), KEY).await;
    client.metadata().await;
    client
}

/// A request for the records of partition 0 of the topic `t`, of which there are none yet.
fn fetch_from_t(max_wait_ms: i32) -> Vec<u8> {
    let partition = FetchPartition { partition_max_bytes: 1024, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    let fetch = FetchRequest { max_wait_ms, min_bytes: 1, max_bytes: 1024, topics: vec![topic], ..Default::default() };
    request(ApiKey::Fetch, 12, |writer| fetch.encode(writer, 12))
}

/// A request whose answer has come, and after which the connection is not read.
async fn be_muted<S: tokio::io::AsyncRead + AsyncWrite + Unpin>(client: &mut KafkaClient<S>) {
    let answer = client.metadata().await;
    let throttle_time_ms = i32::from_be_bytes(*answer.first_chunk().unwrap());
    assert!(throttle_time_ms > 1_000_000, "{throttle_time_ms}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_while_it_is_not_read_makes_room_at_once() {
    let door = FrontDoor::open().await;
    let quota = door.quota(TENANT);
    let mut client = connect(&door).await;
    owe_an_hour(&quota);
    be_muted(&mut client).await;
    assert_eq!(quota.open_connections(), 1);
    drop(client);
    eventually("the connection counts although its client is gone", || quota.open_connections() == 0).await;
    assert!(!quota.requests.debt(quota.clock.now()).is_zero(), "what it owed is owed by its tenant");
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_makes_room_although_it_sent_more_before() {
    let door = FrontDoor::open().await;
    let quota = door.quota(TENANT);
    let mut client = connect(&door).await;
    owe_an_hour(&quota);
    be_muted(&mut client).await;
    client.send(METADATA, 3, &[0; 4]).await;
    client.0.shutdown().await.unwrap();
    eventually("the connection counts although its client is gone", || quota.open_connections() == 0).await;
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_produced_before_a_client_hung_up_is_stored_although_nobody_waits_for_it() {
    let door = FrontDoor::open().await;
    door.bind("rb-a", "CloudClusterAdmin", WHOLE_CLUSTER);
    door.create_topic(TENANT, "t").await;
    let quota = door.quota(TENANT);
    let mut client = connect(&door).await;
    owe_an_hour(&quota);
    be_muted(&mut client).await;
    client.send(PRODUCE, 7, &produce_to_t(0)).await;
    drop(client);
    eventually("the connection counts although its client is gone", || quota.open_connections() == 0).await;
    let partition = door.partition(TENANT, "t");
    assert_eq!(partition.log().log_end_offset(), 0, "it was read before it had paid");
    let limits = Limits { requests_per_second: u64::MAX, ..quota.limits() };
    quota.set_limits(limits, door.broker().tenants.client_quotas(&TENANT.parse().unwrap()));
    eventually("the record is lost", || partition.log().log_end_offset() == 1).await;
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_while_its_fetch_waits_makes_room_at_once() {
    let door = FrontDoor::open().await;
    door.bind("rb-a", "CloudClusterAdmin", WHOLE_CLUSTER);
    door.create_topic(TENANT, "t").await;
    let quota = door.quota(TENANT);
    let mut client = connect(&door).await;
    client.0.write_all(&fetch_from_t(LONG_FETCH_MS)).await.unwrap();
    drop(client);
    eventually("the connection counts although its client is gone", || quota.open_connections() == 0).await;
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_is_noticed_under_tls_whether_said_or_not() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let server = server.with_single_cert(vec![cert.der().clone()], key).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));

    let door = FrontDoor::open_with(Some(Arc::new(server))).await;
    let quota = door.quota(TENANT);
    let name = ServerName::try_from("localhost").unwrap();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let socket = TcpStream::connect(door.address).await.unwrap();
        let socket = connector.connect(name.clone(), socket).await.unwrap();
        let mut client = KafkaClient::log_in(socket, KEY).await;
        client.metadata().await;
        clients.push(client);
    }
    owe_an_hour(&quota);
    for client in &mut clients {
        be_muted(client).await;
    }
    assert_eq!(quota.open_connections(), 2);
    clients.pop().unwrap().0.shutdown().await.unwrap();
    eventually("a connection counts although its client said good-bye", || quota.open_connections() == 1).await;
    drop(clients);
    eventually("a connection counts although its client is gone", || quota.open_connections() == 0).await;
    door.running.shutdown().await;
}

/// A log that is busy at the disk, until dropped.
struct BusyLog {
    work: Option<(mpsc::Sender<()>, std::thread::JoinHandle<()>)>,
}

impl BusyLog {
    fn begin(partition: Arc<Partition>) -> Self {
        let (began, is_busy) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            partition.at_disk(|_log| {
                began.send(()).unwrap();
                ended.recv().unwrap();
            });
        });
        is_busy.recv().unwrap();
        Self { work: Some((end, thread)) }
    }
}

impl Drop for BusyLog {
    fn drop(&mut self) {
        let (end, thread) = self.work.take().unwrap();
        end.send(()).unwrap();
        thread.join().unwrap();
    }
}

#[test]
fn while_a_log_waits_for_the_disk_other_connections_are_answered() {
    // The broker has one thread, and the clients another, which would notice if that one waited.
    let its_threads = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let door = its_threads.block_on(async {
        let door = FrontDoor::open().await;
        door.bind("rb-a", "CloudClusterAdmin", WHOLE_CLUSTER);
        door.create_topic(TENANT, "t").await;
        door
    });
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut producer = connect(&door).await;
        let mut consumer = connect(&door).await;
        let mut neighbour = KafkaClient::log_in(TcpStream::connect(door.address).await.unwrap(), OTHER_KEY).await;
        let busy = BusyLog::begin(door.partition(TENANT, "t"));
        producer.send(PRODUCE, 7, &produce_to_t(-1)).await;
        consumer.0.write_all(&fetch_from_t(0)).await.unwrap();
        for _ in 0..20 {
            let answered = tokio::time::timeout(GIVE_UP, neighbour.metadata()).await;
            assert!(answered.is_ok(), "a thread that serves connections waits for a disk");
        }
        assert!(producer.0.read_u8().now_or_never().is_none(), "it was answered before the log was free");
        drop(busy);
        producer.receive().await;
        consumer.receive().await;
    });
    assert_eq!(door.partition(TENANT, "t").log().log_end_offset(), 1);
    its_threads.block_on(door.running.shutdown());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_with_many_requests_at_once_takes_turns_with_others() {
    const REQUESTS: usize = 20_000;
    let door = FrontDoor::open().await;
    let quota = door.quota(TENANT);
    let limits = Limits { requests_per_second: u64::MAX, ingress_bytes_per_second: u64::MAX, ..quota.limits() };
    quota.set_limits(limits, door.broker().tenants.client_quotas(&TENANT.parse().unwrap()));
    let connect_in_memory = || {
        let (ours, theirs) = tokio::io::duplex(4 * 1024 * 1024);
        let broker = Arc::clone(door.broker());
        let (client, admission) = (door.client(), broker.connections.admit().unwrap());
        (ours, serve(broker, theirs, client, admission, CancellationToken::new()))
    };
    let (ours, serving) = connect_in_memory();
    tokio::spawn(serving);
    let mut busy = KafkaClient::log_in(ours, KEY).await;
    let (ours, serving) = connect_in_memory();
    tokio::spawn(serving);
    let mut other = KafkaClient::log_in(ours, OTHER_KEY).await;
    // Without a topic, and without an answer but to the last.
    let nothing =
        |acks: i16| plain_request(PRODUCE, 7, &[b"\xff\xff".as_slice(), &acks.to_be_bytes(), &[0; 8]].concat());
    let requests = [nothing(0).repeat(REQUESTS), nothing(1)].concat();
    // On the only worker, so that both are there before it looks at either.
    tokio::spawn(async move {
        other.send(METADATA, 3, &[0; 4]).await;
        // Its connection is the one that was woken last, and thus the first to run.
        busy.0.write_all(&requests).await.unwrap();
        other.receive().await;
        assert!(busy.0.read_u8().now_or_never().is_none(), "all requests of one connection came before another's");
        busy.receive().await;
    })
    .await
    .unwrap();
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_answered_when_the_broker_stops_is_answered() {
    let door = FrontDoor::open().await;
    let mut client = KafkaClient(TcpStream::connect(door.address).await.unwrap());
    let handshake = client.call(SASL_HANDSHAKE, 1, b"\0\x05PLAIN").await;
    assert_eq!(handshake[..2], [0, 0]);
    // A wrong key is answered after a pause, in which the broker is told to stop.
    client.send(SASL_AUTHENTICATE, 0, b"\0\0\0\x06\0KEY\0x").await;
    let broker = Arc::clone(door.broker());
    let refusals = || broker.metrics.render(&Default::default()).contains("failed_authentications_total 1");
    eventually("the login is looked at", refusals).await;
    let stopping = tokio::spawn(door.running.shutdown());
    let answer = client.receive().await;
    assert_eq!(answer[..2], [0, 58], "SASL_AUTHENTICATION_FAILED");
    stopping.await.unwrap();
}
