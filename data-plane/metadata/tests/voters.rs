//! A metadata group of three voters over a transport in memory: what more voters will need is already there.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_metadata::raft::network::{Peer, RaftTransport, TransportAnswer, TransportError};
use millstream_metadata::raft::{Founding, MetadataGroup, ProposeError, VoterOptions};
use millstream_metadata::records::MetadataRecord;

/// How long a group may take to agree or to elect: far more than it needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Delivers messages by calling the other voter.
#[derive(Default)]
struct InMemory {
    voters: Mutex<BTreeMap<u64, MetadataGroup>>,
}

impl RaftTransport for InMemory {
    fn call<'a>(&'a self, peer: &'a Peer, message: Vec<u8>) -> TransportAnswer<'a> {
        let voter = self.voters.lock().unwrap().get(&peer.voter_id).cloned();
        Box::pin(async move {
            let voter = voter.ok_or_else(|| TransportError::Unreachable("voter is down".into()))?;
            voter.answer_peer(&message).await.map_err(|error| TransportError::Broken(error.into()))
        })
    }
}

struct Cluster {
    directory: tempfile::TempDir,
    transport: Arc<InMemory>,
}

impl Cluster {
    async fn start(&self, voter_id: u64, founding: Founding) -> MetadataGroup {
        let group = MetadataGroup::start_voter(VoterOptions {
            directory: self.directory.path().join(voter_id.to_string()),
            voter_id,
            address: format!("voter-{voter_id}"),
            founding,
            transport: self.transport.clone(),
        })
        .await
        .unwrap();
        self.transport.voters.lock().unwrap().insert(voter_id, group.clone());
        group
    }

    async fn stop(&self, voter_id: u64) {
        let group = self.transport.voters.lock().unwrap().remove(&voter_id).unwrap();
        group.shutdown().await;
    }
}

fn producer_ids(next_producer_id: i64) -> MetadataRecord {
    MetadataRecord::ProducerIds { broker_id: 0, next_producer_id }
}

async fn wait_for(group: &MetadataGroup, next_producer_id: i64) {
    let mut images = group.subscribe();
    let reached = images.wait_for(|image| image.next_producer_id() == next_producer_id);
    tokio::time::timeout(PATIENCE, reached).await.expect("the voter follows").unwrap();
}

/// Proposes through whichever voter leads, until it is written.
async fn propose(voters: &[&MetadataGroup], next_producer_id: i64) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        for voter in voters {
            match voter.propose(vec![producer_ids(next_producer_id)]).await {
                Ok(_) => return,
                Err(ProposeError::NotLeader { .. } | ProposeError::Superseded) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(tokio::time::Instant::now() < deadline, "no voter leads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_voters_agree_and_survive_the_loss_of_their_leader() {
    let cluster = Cluster { directory: tempfile::tempdir().unwrap(), transport: Arc::default() };
    let first = cluster.start(1, Founding::Found).await;
    first.propose(vec![producer_ids(1)]).await.unwrap();
    // The second and third learn what came before them from a snapshot.
    first.compact_log().await.unwrap();
    let second = cluster.start(2, Founding::Join).await;
    let third = cluster.start(3, Founding::Join).await;
    first.add_voter(2, "voter-2").await.unwrap();
    first.add_voter(3, "voter-3").await.unwrap();
    first.propose(vec![producer_ids(2)]).await.unwrap();
    wait_for(&second, 2).await;
    wait_for(&third, 2).await;
    assert_eq!(second.image(), first.image());
    assert!(matches!(second.propose(vec![producer_ids(9)]).await, Err(ProposeError::NotLeader { .. })));

    cluster.stop(1).await;
    propose(&[&second, &third], 3).await;
    wait_for(&second, 3).await;
    wait_for(&third, 3).await;

    // The old leader comes back and follows.
    let first = cluster.start(1, Founding::Found).await;
    wait_for(&first, 3).await;
    propose(&[&first, &second, &third], 4).await;
    for voter in [&first, &second, &third] {
        wait_for(voter, 4).await;
    }
    assert_eq!(first.image(), third.image());
    for voter_id in [1, 2, 3] {
        cluster.stop(voter_id).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_not_from_a_peer_are_refused() {
    let cluster = Cluster { directory: tempfile::tempdir().unwrap(), transport: Arc::default() };
    let group = cluster.start(1, Founding::Found).await;
    for message in [
        &b""[..],
        b"\x01",
        b"\x02\x01\0\0\0\0",
        b"\x01\x09\0\0\0\0",
        b"\x01\x02\xff\xff\xff\xff",
        b"\x01\x02\0\0\0\x02{}",
    ] {
        assert!(group.answer_peer(message).await.is_err(), "{message:?}");
    }
    group.propose(vec![producer_ids(1)]).await.unwrap();
    cluster.stop(1).await;
}
