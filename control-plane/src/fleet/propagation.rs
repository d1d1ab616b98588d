//! How far each connected broker is, and who waits for it.
//!
//! Promises: a commit wakes the streams of its physical cluster at once; an acknowledgement wakes everybody who waits
//! for one. Holds no events: streams read them from the database. Forgets a broker when its stream ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_api::ids::PhysicalClusterId;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::broker_sessions::BrokerSession;

/// Config streams of one physical cluster to one replica at most.
pub const MAX_SESSIONS_PER_PHYSICAL_CLUSTER: usize = 1_000;

/// Snapshots that one replica sends at the same time; each holds a connection to the database.
pub const MAX_SNAPSHOTS: usize = 2;

/// How long a broker may leave what it was sent unacknowledged before nobody waits for it any more.
pub const DEAF_AFTER: Duration = Duration::from_secs(15);

/// Too many config streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the physical cluster has {MAX_SESSIONS_PER_PHYSICAL_CLUSTER} config streams already")]
pub struct TooManySessions;

/// Progress of every broker connected to this replica.
pub struct Propagation {
    shared: Arc<Shared>,
    /// Taken while a snapshot is sent.
    pub snapshots: Semaphore,
}

impl Default for Propagation {
    fn default() -> Self {
        Self { shared: Arc::default(), snapshots: Semaphore::new(MAX_SNAPSHOTS) }
    }
}

struct Shared {
    shards: Mutex<HashMap<PhysicalClusterId, Shard>>,
    progress: watch::Sender<u64>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { shards: Mutex::default(), progress: watch::Sender::new(0) }
    }
}

struct Shard {
    committed: watch::Sender<u64>,
    sessions: HashMap<String, SessionState>,
}

impl Default for Shard {
    fn default() -> Self {
        Self { committed: watch::Sender::new(0), sessions: HashMap::new() }
    }
}

struct SessionState {
    broker_id: i32,
    acknowledged: u64,
    /// Since when it has left something unacknowledged that it was sent.
    behind_since: Option<Instant>,
    replaced: CancellationToken,
}

impl SessionState {
    fn is_deaf(&self) -> bool {
        self.behind_since.is_some_and(|since| since.elapsed() >= DEAF_AFTER)
    }
}

/// One connected broker; it is forgotten when this is dropped.
pub struct Session {
    shared: Arc<Shared>,
    physical_cluster: PhysicalClusterId,
    /// Tells it from other streams of the same broker, here and at other replicas.
    pub id: String,
    /// Cancelled when the same broker opens another stream.
    pub replaced: CancellationToken,
    /// The newest revision that this replica committed, as far as it knows.
    pub commits: watch::Receiver<u64>,
}

impl Propagation {
    /// Says that a revision was committed.
    pub fn committed(&self, physical_cluster: &PhysicalClusterId, revision: u64) {
        self.shared.with_shard(physical_cluster, |shard| {
            shard.committed.send_if_modified(|newest| {
                let newer = revision > *newest;
                *newest = revision.max(*newest);
                newer
            });
        });
    }

    /// Wakes the streams of a physical cluster without knowing which revision is new.
    pub fn look_again(&self, physical_cluster: &PhysicalClusterId) {
        self.shared.with_shard(physical_cluster, |shard| shard.committed.send_modify(|_| ()));
    }

    /// Wakes every stream: another epoch has begun.
    pub fn everybody_look_again(&self) {
        let shards = self.shared.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.values().for_each(|shard| shard.committed.send_modify(|_| ()));
    }

    /// Physical clusters with a broker here.
    pub fn connected(&self) -> Vec<PhysicalClusterId> {
        let shards = self.shared.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let connected = shards.iter().filter(|(_, shard)| !shard.sessions.is_empty());
        connected.map(|(physical_cluster, _)| physical_cluster.clone()).collect()
    }

    /// Every connected broker that listens.
    pub fn listening(&self) -> Vec<BrokerSession> {
        let shards = self.shared.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listening = Vec::new();
        for (physical_cluster, shard) in &*shards {
            for (id, session) in shard.sessions.iter().filter(|(_, session)| !session.is_deaf()) {
                listening.push(BrokerSession {
                    id: id.clone(),
                    physical_cluster: physical_cluster.clone(),
                    broker_id: session.broker_id,
                    revision: session.acknowledged,
                });
            }
        }
        listening
    }

    /// Whether a broker is connected that listens.
    pub fn listens(&self, session: &BrokerSession) -> bool {
        let shards = self.shared.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let state = shards.get(&session.physical_cluster).and_then(|shard| shard.sessions.get(&session.id));
        state.is_some_and(|state| !state.is_deaf())
    }

    /// Takes in a broker whose image is at a revision. An older stream of the same broker is replaced.
    pub fn join(
        &self,
        physical_cluster: &PhysicalClusterId,
        broker_id: i32,
        acknowledged: u64,
    ) -> Result<Session, TooManySessions> {
        self.shared.with_shard(physical_cluster, |shard| {
            shard.sessions.retain(|_, other| {
                let same_broker = other.broker_id == broker_id;
                if same_broker {
                    other.replaced.cancel();
                }
                !same_broker
            });
            if shard.sessions.len() >= MAX_SESSIONS_PER_PHYSICAL_CLUSTER {
                return Err(TooManySessions);
            }
            let id = format!("{physical_cluster}/{}", uuid::Uuid::new_v4());
            let replaced = CancellationToken::new();
            let state = SessionState { broker_id, acknowledged, behind_since: None, replaced: replaced.clone() };
            shard.sessions.insert(id.clone(), state);
            Ok(Session {
                shared: Arc::clone(&self.shared),
                physical_cluster: physical_cluster.clone(),
                id,
                replaced,
                commits: shard.committed.subscribe(),
            })
        })
    }

    /// The lowest revision among the connected brokers that listen; none if there is no such broker.
    pub fn lowest(&self, physical_cluster: &PhysicalClusterId) -> Option<u64> {
        let shards = self.shared.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let listening = shards.get(physical_cluster)?.sessions.values().filter(|session| !session.is_deaf());
        listening.map(|session| session.acknowledged).min()
    }

    /// How many connected brokers that listen have not acknowledged a revision.
    pub fn behind(&self, physical_cluster: &PhysicalClusterId, revision: u64) -> usize {
        let shards = self.shared.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(shard) = shards.get(physical_cluster) else { return 0 };
        shard.sessions.values().filter(|session| !session.is_deaf() && session.acknowledged < revision).count()
    }

    /// Changes whenever a broker acknowledged, came or left.
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.shared.progress.subscribe()
    }
}

impl Session {
    /// Records what the broker was sent: from now on it is expected to acknowledge.
    pub fn sent(&self, revision: u64) {
        self.shared.with_shard(&self.physical_cluster, |shard| {
            if let Some(session) = shard.sessions.get_mut(&self.id) {
                let is_behind = session.acknowledged < revision;
                session.behind_since = is_behind.then(|| session.behind_since.unwrap_or_else(Instant::now));
            }
        });
    }

    /// Whether nobody waits for this broker any more.
    pub fn is_deaf(&self) -> bool {
        self.shared
            .with_shard(&self.physical_cluster, |shard| shard.sessions.get(&self.id).is_some_and(SessionState::is_deaf))
    }

    /// Records an acknowledgement. Whatever it is about, the broker listens.
    pub fn acknowledge(&self, revision: u64, sent: u64) {
        self.shared.with_shard(&self.physical_cluster, |shard| {
            if let Some(session) = shard.sessions.get_mut(&self.id) {
                session.acknowledged = session.acknowledged.max(revision);
                session.behind_since = (session.acknowledged < sent).then(Instant::now);
            }
        });
        self.shared.progress.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Forgets what was acknowledged: the broker asked for a snapshot.
    pub fn start_over(&self) {
        self.shared.with_shard(&self.physical_cluster, |shard| {
            if let Some(session) = shard.sessions.get_mut(&self.id) {
                session.acknowledged = 0;
                session.behind_since = None;
            }
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.with_shard(&self.physical_cluster, |shard| shard.sessions.remove(&self.id));
        self.shared.progress.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Shared {
    fn with_shard<T>(&self, physical_cluster: &PhysicalClusterId, act: impl FnOnce(&mut Shard) -> T) -> T {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        act(shards.entry(physical_cluster.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn physical_cluster() -> PhysicalClusterId {
        "pkc-a".parse().expect("an id")
    }

    #[test]
    fn the_lowest_acknowledgement_counts_and_a_broker_that_left_does_not() {
        let propagation = Propagation::default();
        assert_eq!(propagation.lowest(&physical_cluster()), None);
        let one = propagation.join(&physical_cluster(), 1, 0).expect("room");
        let two = propagation.join(&physical_cluster(), 2, 7).expect("room");
        assert_eq!(propagation.lowest(&physical_cluster()), Some(0));
        one.acknowledge(9, 9);
        assert_eq!(propagation.lowest(&physical_cluster()), Some(7));
        drop(two);
        assert_eq!(propagation.lowest(&physical_cluster()), Some(9));
        drop(one);
        assert_eq!(propagation.lowest(&physical_cluster()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_broker_that_has_been_deaf_for_too_long() {
        let propagation = Propagation::default();
        let deaf = propagation.join(&physical_cluster(), 1, 3).expect("room");
        let other = propagation.join(&physical_cluster(), 2, 3).expect("room");
        deaf.sent(4);
        other.sent(4);
        other.acknowledge(4, 4);
        tokio::time::advance(DEAF_AFTER - Duration::from_millis(1)).await;
        assert_eq!(propagation.lowest(&physical_cluster()), Some(3));
        assert_eq!(propagation.behind(&physical_cluster(), 4), 1);
        // What is sent later does not give it more time.
        deaf.sent(5);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(deaf.is_deaf() && !other.is_deaf());
        assert_eq!(propagation.lowest(&physical_cluster()), Some(4));
        assert_eq!(propagation.behind(&physical_cluster(), 4), 0);
        assert_eq!(propagation.behind(&physical_cluster(), 5), 1);
        // It is slow, not deaf: every acknowledgement counts.
        deaf.acknowledge(4, 5);
        assert!(!deaf.is_deaf());
        assert_eq!(propagation.lowest(&physical_cluster()), Some(4));
        deaf.acknowledge(5, 5);
        tokio::time::advance(DEAF_AFTER * 2).await;
        assert!(!deaf.is_deaf(), "an idle broker is not deaf");
    }

    #[tokio::test(start_paused = true)]
    async fn who_listens_is_said_with_what_it_has_acknowledged() {
        let propagation = Propagation::default();
        assert!(propagation.connected().is_empty() && propagation.listening().is_empty());
        let deaf = propagation.join(&physical_cluster(), 1, 3).expect("room");
        let other = propagation.join(&physical_cluster(), 2, 3).expect("room");
        deaf.sent(4);
        other.acknowledge(4, 4);
        tokio::time::advance(DEAF_AFTER).await;
        let listening = propagation.listening();
        assert_eq!(listening.iter().map(|one| (one.broker_id, one.revision)).collect::<Vec<_>>(), [(2, 4)]);
        assert!(propagation.listens(&listening[0]));
        drop(other);
        assert!(!propagation.listens(&listening[0]));
        assert_eq!(propagation.connected(), [physical_cluster()]);
        drop(deaf);
        assert!(propagation.connected().is_empty());
    }

    #[test]
    fn a_second_stream_of_a_broker_replaces_the_first() {
        let propagation = Propagation::default();
        let first = propagation.join(&physical_cluster(), 1, 0).expect("room");
        let second = propagation.join(&physical_cluster(), 1, 5).expect("room");
        assert!(first.replaced.is_cancelled());
        assert!(!second.replaced.is_cancelled());
        first.acknowledge(3, 3);
        drop(first);
        assert_eq!(propagation.lowest(&physical_cluster()), Some(5));
    }

    #[test]
    fn a_late_report_of_an_older_commit_does_not_turn_the_head_back() {
        let propagation = Propagation::default();
        let session = propagation.join(&physical_cluster(), 1, 0).expect("room");
        propagation.committed(&physical_cluster(), 5);
        propagation.committed(&physical_cluster(), 4);
        assert_eq!(*session.commits.borrow(), 5);
    }
}
