//! Tests of the config stream against a control plane that the test plays.
use millstream_api::fleet::config_event::Change;
use millstream_api::fleet::config_item::Item;
use millstream_api::fleet::config_item_key::Key;
use millstream_api::fleet::{self, ConfigEvent, ConfigItemKey, Heartbeat, Resume, SnapshotItems};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::fleet::test_control_plane::{self, Accepted, ConfigStreams};

const KEY: &str = "AAAAAAAAAAAAAAAA";
const PEPPER: [u8; 32] = [9; 32];

/// A deletion of one key in the journal: length, checksum, and two numbers and an id as protobuf.
const LARGEST_DELETION_BYTES: u64 = 64;

struct Fixture {
    dir: TempDir,
    tenants: Arc<TenantDirectory>,
    connections: Arc<ConnectionRegistry>,
    status: Arc<FleetStatus>,
    streams: ConfigStreams,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Fixture {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let tenants = Arc::new(TenantDirectory::open(&dir.path().join("tenants.image")).unwrap());
        let (endpoint, streams, _) = test_control_plane::start().await;
        let identity =
            BrokerIdentity { physical_cluster_id: "pkc-a".to_owned(), broker_id: 0, boot_id: "boot".to_owned() };
        let connections = Arc::new(ConnectionRegistry::default());
        let status = Arc::new(FleetStatus::default());
        let stream = ConfigStream {
            endpoint,
            identity,
            tenants: Arc::clone(&tenants),
            connections: Arc::clone(&connections),
            quotas: Arc::new(Quotas::new(Arc::clone(&tenants))),
            status: Arc::clone(&status),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(stream.run(shutdown.clone()));
        Self { dir, tenants, connections, status, streams, shutdown, task }
    }

    /// The next stream that the broker opens, and its hello.
    async fn accept(&mut self) -> (Peer, BrokerHello) {
        let mut peer = Peer(self.streams.recv().await.unwrap());
        let Outgoing::Hello(hello) = peer.receive().await else { panic!("the first message is not a hello") };
        (peer, hello)
    }

    /// A stream after a snapshot at revision 10 with one key.
    async fn with_snapshot(&mut self) -> Peer {
        let (mut peer, _) = self.accept().await;
        peer.send_snapshot(10, vec![cluster("lkc-a"), key(KEY, "User:sa-a")]).await;
        assert_eq!(peer.receive().await, ack(10));
        peer
    }
}

struct Peer(Accepted<BrokerUpdate, ConfigUpdate>);

impl Peer {
    async fn send(&self, update: Incoming) {
        self.0.outgoing.send(Ok(ConfigUpdate { update: Some(update) })).await.unwrap();
    }

    async fn receive(&mut self) -> Outgoing {
        self.0.incoming.message().await.unwrap().unwrap().update.unwrap()
    }

    async fn send_snapshot(&self, revision: u64, items: Vec<ConfigItem>) {
        let begin = SnapshotBegin { epoch: 1, revision, pepper: PEPPER.to_vec().into() };
        let end = SnapshotEnd { items: items.len() as u64 };
        self.send(Incoming::SnapshotBegin(begin)).await;
        for items in items.chunks(1) {
            self.send(Incoming::SnapshotItems(SnapshotItems { items: items.to_vec() })).await;
        }
        self.send(Incoming::SnapshotEnd(end)).await;
    }

    async fn send_delta(&self, from_revision: u64, change: Change) {
        let to_revision = from_revision + 1;
        let events = vec![ConfigEvent { revision: to_revision, change: Some(change) }];
        self.send(Incoming::Delta(Delta { epoch: 1, from_revision, to_revision, events })).await;
    }
}

fn ack(revision: u64) -> Outgoing {
    Outgoing::Ack(Ack { epoch: 1, revision })
}

fn cluster(id: &str) -> ConfigItem {
    let cluster = fleet::LogicalCluster {
        id: id.to_owned(),
        organization_id: "00000000-0000-7000-8000-000000000001".to_owned(),
        environment_id: "env-a".to_owned(),
        kind: "Basic".to_owned(),
        units: 0,
    };
    ConfigItem { item: Some(Item::LogicalCluster(cluster)) }
}

fn key(id: &str, principal: &str) -> ConfigItem {
    let hmac_key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &PEPPER);
    let secret_hmac = aws_lc_rs::hmac::sign(&hmac_key, format!("{id}:secret").as_bytes());
    let key = fleet::ApiKey {
        id: id.to_owned(),
        logical_cluster_id: "lkc-a".to_owned(),
        principal: principal.to_owned(),
        secret_hmac: secret_hmac.as_ref().to_vec().into(),
    };
    ConfigItem { item: Some(Item::ApiKey(key)) }
}

fn delete_key(id: &str) -> Change {
    Change::Delete(ConfigItemKey { key: Some(Key::ApiKeyId(id.to_owned())) })
}

#[tokio::test]
async fn a_new_broker_asks_with_its_token_for_a_snapshot_and_acknowledges_it() {
    let mut fixture = Fixture::start().await;
    let (mut peer, hello) = fixture.accept().await;
    assert_eq!((hello.epoch, hello.revision, hello.physical_cluster_id.as_str()), (0, 0, "pkc-a"));
    assert_eq!(peer.0.authorization, "Bearer the-token");
    peer.send_snapshot(10, vec![cluster("lkc-a"), key(KEY, "User:sa-a")]).await;
    assert_eq!(peer.receive().await, ack(10));
    assert!(fixture.tenants.authenticate(KEY, "secret").is_some());
    assert!(fixture.status.report().config_connected);
    let on_disk = TenantDirectory::open(&fixture.dir.path().join("tenants.image")).unwrap();
    assert_eq!(on_disk.position().revision, 10, "acknowledged before it was on disk");
}

#[tokio::test]
async fn a_revoked_key_is_refused_and_its_connection_closes() {
    let mut fixture = Fixture::start().await;
    let mut peer = fixture.with_snapshot().await;
    let connection = fixture.connections.admit().unwrap();
    connection.authenticate(fixture.tenants.authenticate(KEY, "secret").unwrap());
    peer.send_delta(10, delete_key(KEY)).await;
    assert_eq!(peer.receive().await, ack(11));
    assert!(connection.closed().is_cancelled());
    assert!(fixture.tenants.authenticate(KEY, "secret").is_none());
}

#[tokio::test]
async fn a_gap_is_answered_with_a_request_for_a_snapshot() {
    let mut fixture = Fixture::start().await;
    let mut peer = fixture.with_snapshot().await;
    peer.send_delta(11, delete_key(KEY)).await;
    let Outgoing::Nack(nack) = peer.receive().await else { panic!("not a nack") };
    assert_eq!(nack.code(), Code::Gap);
    peer.send_delta(12, delete_key(KEY)).await;
    peer.send_snapshot(20, vec![cluster("lkc-a")]).await;
    assert_eq!(peer.receive().await, ack(20));
    peer.send_delta(20, Change::Upsert(key(KEY, "User:sa-a"))).await;
    assert_eq!(peer.receive().await, ack(21));
    assert!(fixture.tenants.authenticate(KEY, "secret").is_some());
}

#[tokio::test]
async fn an_item_that_cannot_be_understood_is_reported_and_the_rest_acknowledged() {
    let mut fixture = Fixture::start().await;
    let mut peer = fixture.with_snapshot().await;
    peer.send_delta(10, Change::Upsert(key("BBBBBBBBBBBBBBBB", "Robot:1"))).await;
    let Outgoing::Nack(nack) = peer.receive().await else { panic!("not a nack") };
    assert_eq!((nack.code(), nack.revision), (Code::Invalid, 11));
    assert!(nack.detail.contains("BBBBBBBBBBBBBBBB"), "{}", nack.detail);
    assert_eq!(peer.receive().await, ack(11));
}

#[tokio::test]
async fn a_broken_stream_resumes_where_the_image_ends() {
    let mut fixture = Fixture::start().await;
    drop(fixture.with_snapshot().await);
    let (mut peer, hello) = fixture.accept().await;
    assert_eq!((hello.epoch, hello.revision), (1, 10));
    peer.send(Incoming::Resume(Resume { epoch: 1, revision: 10 })).await;
    assert_eq!(peer.receive().await, ack(10));
    peer.send(Incoming::Heartbeat(Heartbeat { head_revision: 12, server_time_ms: 0 })).await;
    peer.send_delta(10, delete_key(KEY)).await;
    assert_eq!(peer.receive().await, ack(11));
    assert_eq!(fixture.status.report().head_revision, 12);
}

#[tokio::test]
async fn a_snapshot_with_missing_items_is_not_applied() {
    let mut fixture = Fixture::start().await;
    let (peer, _) = fixture.accept().await;
    let begin = SnapshotBegin { epoch: 1, revision: 10, pepper: PEPPER.to_vec().into() };
    peer.send(Incoming::SnapshotBegin(begin)).await;
    peer.send(Incoming::SnapshotEnd(SnapshotEnd { items: 1 })).await;
    let (_, hello) = fixture.accept().await;
    assert_eq!(hello.revision, 0, "the broker came back for another snapshot");
}

#[tokio::test]
async fn a_deleted_cluster_wakes_whoever_deletes_its_data() {
    let mut fixture = Fixture::start().await;
    let mut peer = fixture.with_snapshot().await;
    let delete = Change::Delete(ConfigItemKey { key: Some(Key::LogicalClusterId("lkc-a".to_owned())) });
    peer.send_delta(10, delete).await;
    assert_eq!(peer.receive().await, ack(11));
    fixture.status.deletions.notified().await;
    assert_eq!(fixture.tenants.pending_deletions(), ["lkc-a".parse().unwrap()]);
}

#[tokio::test]
async fn the_stream_ends_when_it_is_told_to() {
    let mut fixture = Fixture::start().await;
    let _peer = fixture.with_snapshot().await;
    fixture.shutdown.cancel();
    fixture.task.await.unwrap();
}

#[tokio::test]
async fn with_ten_thousand_keys_a_delta_writes_its_own_bytes_and_not_the_image() {
    let mut fixture = Fixture::start().await;
    let (mut peer, _) = fixture.accept().await;
    let keys = (0..10_000).map(|number| key(&format!("{number:0>16}"), "User:sa-a"));
    let items: Vec<_> = [cluster("lkc-a")].into_iter().chain(keys).collect();
    let begin = SnapshotBegin { epoch: 1, revision: 10, pepper: PEPPER.to_vec().into() };
    let end = SnapshotEnd { items: items.len() as u64 };
    peer.send(Incoming::SnapshotBegin(begin)).await;
    for items in items.chunks(1_000) {
        peer.send(Incoming::SnapshotItems(SnapshotItems { items: items.to_vec() })).await;
    }
    peer.send(Incoming::SnapshotEnd(end)).await;
    assert_eq!(peer.receive().await, ack(10));
    let image_path = fixture.dir.path().join("tenants.image");
    let image_bytes = std::fs::read(&image_path).unwrap();
    for revision in 10..210 {
        peer.send_delta(revision, delete_key(&format!("{revision:0>16}"))).await;
        assert_eq!(peer.receive().await, ack(revision + 1));
    }
    assert!(std::fs::read(&image_path).unwrap() == image_bytes, "the image was written again");
    let journal_bytes = std::fs::metadata(image_path.with_extension("journal")).unwrap().len();
    assert!(journal_bytes <= 200 * LARGEST_DELETION_BYTES, "{journal_bytes} bytes for 200 deletions");
}
