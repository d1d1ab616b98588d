//! The door to the metadata of a physical cluster: start it, read the image, decide changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openraft::{BasicNode, ChangeMembers, Config, Raft, SnapshotPolicy};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::decide::Decision;
use crate::image::MetadataImage;
use crate::raft::entry::Batch;
use crate::raft::files::{Layout, StartError};
use crate::raft::log_store::{LogStore, Opened};
use crate::raft::network::{
    self, MAX_MESSAGE_ENTRIES, MessageError, Network, NoPeers, RaftTransport, SNAPSHOT_PIECE_BYTES,
};
use crate::raft::proposer::{self, Prepared, Proposal, ProposeError, QUEUED_PROPOSALS};
use crate::raft::snapshot_file::{self, StoredSnapshot};
use crate::raft::state_machine::StateMachine;
use crate::raft::{TypeConfig, VoterId};
use crate::records::MetadataRecord;
use crate::snapshot;

/// After how many log entries a snapshot is made and the log before it dropped.
pub const SNAPSHOT_AFTER_ENTRIES: u64 = 2_000;
/// How many entries before a snapshot stay, for followers that are a little late.
const ENTRIES_KEPT_BEFORE_SNAPSHOT: u64 = 200;
/// How far a follower may be behind before it gets a snapshot instead of entries.
const FOLLOWER_LAG_ENTRIES: u64 = SNAPSHOT_AFTER_ENTRIES + ENTRIES_KEPT_BEFORE_SNAPSHOT;
const HEARTBEAT_MS: u64 = 100;
const ELECTION_TIMEOUT_MIN_MS: u64 = 500;
const ELECTION_TIMEOUT_MAX_MS: u64 = 1_000;
const SNAPSHOT_PIECE_TIMEOUT_MS: u64 = 5_000;
/// How long a voter that is alone may take to lead: it needs nothing but its disk.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How often `shutdown` looks whether the last user of the log is gone.
const RELEASE_POLL: Duration = Duration::from_millis(1);
/// How long `shutdown` waits for that.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a voter begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Founding {
    /// A pristine directory becomes a group with this voter alone.
    Found,
    /// A pristine directory waits until a leader adds this voter to its group.
    Join,
}

/// What starts a voter.
#[derive(Clone)]
pub struct VoterOptions {
    /// Where its files are.
    pub directory: PathBuf,
    /// Its number.
    pub voter_id: VoterId,
    /// Where other voters reach it, in the form its transport understands.
    pub address: String,
    /// What a pristine directory becomes.
    pub founding: Founding,
    /// Carries messages to other voters.
    pub transport: Arc<dyn RaftTransport>,
}

/// Why a decision has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError<E: std::error::Error + 'static> {
    /// The decision itself refused.
    #[error(transparent)]
    Refused(E),
    /// It could not be written.
    #[error(transparent)]
    NotWritten(ProposeError),
}

/// One voter of the metadata group. Clones are the same voter.
#[derive(Clone)]
pub struct MetadataGroup {
    shared: Arc<Shared>,
}

struct Shared {
    voter_id: VoterId,
    raft: Raft<TypeConfig>,
    image: watch::Receiver<Arc<MetadataImage>>,
    running: Mutex<Option<Running>>,
    proposals: std::sync::RwLock<Option<mpsc::Sender<Proposal>>>,
}

struct Running {
    proposer: JoinHandle<()>,
    log: LogStore,
}

impl MetadataGroup {
    /// Starts a group of one voter. Everything that was acknowledged before is in the image when this returns.
    pub async fn start(directory: &Path, voter_id: VoterId) -> Result<Self, StartError> {
        Self::start_voter(VoterOptions {
            directory: directory.to_owned(),
            voter_id,
            address: String::new(),
            founding: Founding::Found,
            transport: Arc::new(NoPeers),
        })
        .await
    }

    /// Starts a voter of a group of any size. A voter that is alone leads when this returns; one among others may
    /// still have to hear from its leader, and its image may be behind.
    pub async fn start_voter(options: VoterOptions) -> Result<Self, StartError> {
        let layout = Layout::of(&options.directory);
        let voter_id = options.voter_id;
        let storage = tokio::task::spawn_blocking({
            let layout = layout.clone();
            move || open_storage(&layout, voter_id)
        });
        let (log, opened, stored) = match storage.await {
            Ok(opened) => opened?,
            // redb checks its file with assertions in places.
            Err(error) => return Err(layout.damaged(&layout.log, error.to_string())),
        };
        let state_machine = StateMachine::new(layout.snapshot.clone(), stored);
        let image = state_machine.subscribe();
        let network = Network { transport: Arc::clone(&options.transport) };
        let raft = Raft::new(voter_id, raft_config()?, network, log.clone(), state_machine)
            .await
            .map_err(|error| StartError::Raft { reason: error.to_string() })?;
        if let Err(error) = begin(&raft, &options, opened.is_pristine).await {
            // Its error is the one that matters, not one of stopping.
            let _ = raft.shutdown().await;
            return Err(error);
        }
        let (sender, receiver) = mpsc::channel(QUEUED_PROPOSALS);
        let proposer = tokio::spawn(proposer::run(raft.clone(), image.clone(), receiver));
        let running = Mutex::new(Some(Running { proposer, log }));
        let proposals = std::sync::RwLock::new(Some(sender));
        Ok(Self { shared: Arc::new(Shared { voter_id, raft, image, running, proposals }) })
    }

    /// The newest image. Cheap: no lock is held longer than it takes to copy a pointer.
    pub fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.shared.image.borrow())
    }

    /// Follows the image. A slow reader skips images; compare with `MetadataDelta`.
    pub fn subscribe(&self) -> watch::Receiver<Arc<MetadataImage>> {
        self.shared.image.clone()
    }

    /// Whether this voter leads, so that decisions can be made here.
    pub fn is_leader(&self) -> bool {
        self.leader() == Some(self.shared.voter_id)
    }

    /// How many entries the log has had so far, dropped ones too. Grows slower than the offset when proposals share
    /// entries.
    pub fn entries_written(&self) -> u64 {
        self.shared.raft.metrics().borrow().last_log_index.map_or(0, |index| index + 1)
    }

    /// How many entries of the log are not in the image yet.
    pub fn entries_behind(&self) -> u64 {
        let metrics = self.shared.raft.metrics();
        let metrics = metrics.borrow();
        let applied = metrics.last_applied.map_or(0, |log_id| log_id.index + 1);
        metrics.last_log_index.map_or(0, |index| index + 1).saturating_sub(applied)
    }

    /// The voter that leads, if known.
    pub fn leader(&self) -> Option<VoterId> {
        self.shared.raft.metrics().borrow().current_leader
    }

    /// Runs a decision on the newest image and writes its records. When this returns, they are on disk and `image()`
    /// holds them. Nothing comes between the image that the decision saw and its records.
    pub async fn decide<T, E>(
        &self,
        decision: impl FnOnce(&MetadataImage) -> Result<Decision<T>, E> + Send + 'static,
    ) -> Result<T, DecideError<E>>
    where
        T: Send + 'static,
        E: std::error::Error + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let proposal: Proposal = Box::new(move |image| {
            let (records, outcome) = match decision(image) {
                Ok(decision) => (decision.records, Ok(decision.outcome)),
                Err(error) => (Vec::new(), Err(error)),
            };
            let answer = Box::new(move |written: Result<u64, ProposeError>| {
                let outcome = match (outcome, written) {
                    (Err(refused), _) => Err(DecideError::Refused(refused)),
                    (Ok(_), Err(error)) => Err(DecideError::NotWritten(error)),
                    (Ok(outcome), Ok(_)) => Ok(outcome),
                };
                // The requester may have gone away; its decision holds all the same.
                let _ = sender.send(outcome);
            });
            Prepared { records, answer }
        });
        self.enqueue(proposal).await.map_err(DecideError::NotWritten)?;
        receiver.await.unwrap_or_else(|_| Err(DecideError::NotWritten(self.unanswered())))
    }

    /// Writes records as they are. Answers with the offset after them; they are on disk and in `image()` then.
    pub async fn propose(&self, records: Vec<MetadataRecord>) -> Result<u64, ProposeError> {
        let (sender, receiver) = oneshot::channel();
        let proposal: Proposal = Box::new(move |_| {
            let answer = Box::new(move |written| {
                let _ = sender.send(written);
            });
            Prepared { records, answer }
        });
        self.enqueue(proposal).await?;
        receiver.await.unwrap_or_else(|_| Err(self.unanswered()))
    }

    /// The newest image as bytes that `snapshot::decode` reads, for a copy somewhere else.
    pub async fn snapshot_now(&self) -> Vec<u8> {
        let image = self.image();
        // Encoding a large image takes milliseconds, too long for a worker that serves connections.
        let encoded = tokio::task::spawn_blocking(move || snapshot::encode(&image)).await;
        encoded.expect("encoding does not panic, and a runtime that is going down polls nobody")
    }

    /// Fills a group that holds nothing yet from the bytes of `snapshot_now`.
    pub async fn restore(&self, image: &MetadataImage) -> Result<u64, ProposeError> {
        let mut offset = self.image().offset();
        for records in snapshot::records(image).chunks(crate::records::MAX_PROPOSAL_RECORDS) {
            offset = self.propose(records.to_vec()).await?;
        }
        Ok(offset)
    }

    /// Makes a snapshot on disk and drops the log before it, as happens by itself every
    /// [`SNAPSHOT_AFTER_ENTRIES`] entries. Returns when it was asked for, not when it is done.
    pub async fn compact_log(&self) -> Result<(), ProposeError> {
        self.shared.raft.trigger().snapshot().await.map_err(|_| ProposeError::Stopped)
    }

    /// Adds a voter that was started with [`Founding::Join`]: it learns the log first, then it votes.
    pub async fn add_voter(&self, voter_id: VoterId, address: &str) -> Result<(), ProposeError> {
        let raft = &self.shared.raft;
        raft.add_learner(voter_id, BasicNode::new(address), true).await.map_err(membership_error)?;
        raft.runtime_config().tick(true);
        let voters = ChangeMembers::AddVoterIds([voter_id].into());
        raft.change_membership(voters, false).await.map_err(membership_error)?;
        Ok(())
    }

    /// Answers a message that a peer's transport delivered.
    pub async fn answer_peer(&self, message: &[u8]) -> Result<Vec<u8>, MessageError> {
        // Whoever hears from peers must notice when they fall silent.
        self.shared.raft.runtime_config().tick(true);
        network::answer(&self.shared.raft, message).await
    }

    /// Stops. What was acknowledged is on disk already; when this returns, the directory is free for the next start.
    pub async fn shutdown(&self) {
        let Some(running) = self.shared.running.lock().await.take() else { return };
        let sender = self.shared.proposals.write().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        drop(sender);
        // Let what was queued be written and answered.
        if let Err(error) = running.proposer.await {
            tracing::error!(%error, "the metadata proposer ended early: {error}");
        }
        if let Err(error) = self.shared.raft.shutdown().await {
            tracing::error!(%error, "the metadata group did not stop cleanly: {error}");
        }
        release(running.log).await;
    }

    async fn enqueue(&self, proposal: Proposal) -> Result<(), ProposeError> {
        let proposals = &self.shared.proposals;
        let sender = proposals.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let Some(sender) = sender else { return Err(ProposeError::Stopped) };
        sender.send(proposal).await.map_err(|_| ProposeError::Stopped)
    }

    /// What an answer that never came means.
    fn unanswered(&self) -> ProposeError {
        let proposals = self.shared.proposals.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_running = proposals.as_ref().is_some_and(|sender| !sender.is_closed());
        if is_running { ProposeError::Panicked } else { ProposeError::Stopped }
    }
}

fn open_storage(layout: &Layout, voter_id: VoterId) -> Result<(LogStore, Opened, Option<StoredSnapshot>), StartError> {
    layout.prepare()?;
    // Read before the log is opened, which may repair it: a snapshot that cannot be used leaves all as it was.
    let checked = snapshot_file::load(layout)?;
    let log = LogStore::open(layout, voter_id)?;
    let opened = log.verify(layout, checked.as_ref())?;
    Ok((log, opened, checked))
}

fn raft_config() -> Result<Arc<Config>, StartError> {
    let config = Config {
        cluster_name: "millstream-metadata".to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_TIMEOUT_MIN_MS,
        election_timeout_max: ELECTION_TIMEOUT_MAX_MS,
        install_snapshot_timeout: SNAPSHOT_PIECE_TIMEOUT_MS,
        max_payload_entries: MAX_MESSAGE_ENTRIES,
        snapshot_max_chunk_size: SNAPSHOT_PIECE_BYTES,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_AFTER_ENTRIES),
        max_in_snapshot_log_to_keep: ENTRIES_KEPT_BEFORE_SNAPSHOT,
        replication_lag_threshold: FOLLOWER_LAG_ENTRIES,
        // A voter that is alone needs no clock; `add_voter` and messages of peers start it.
        enable_tick: false,
        ..Config::default()
    };
    let config = config.validate().map_err(|error| StartError::Raft { reason: error.to_string() })?;
    Ok(Arc::new(config))
}

/// Brings a voter to where `start_voter` promises.
async fn begin(raft: &Raft<TypeConfig>, options: &VoterOptions, is_pristine: bool) -> Result<(), StartError> {
    let failed = |reason: String| StartError::Raft { reason };
    if is_pristine {
        if options.founding == Founding::Join {
            return Ok(());
        }
        let founder = BTreeMap::from([(options.voter_id, BasicNode::new(&options.address))]);
        raft.initialize(founder).await.map_err(|error| failed(error.to_string()))?;
    }
    // Asked of the core itself: the published metrics lag behind.
    let voters: Vec<VoterId> = raft
        .with_raft_state(|state| state.membership_state.effective().voter_ids().collect())
        .await
        .map_err(|error| failed(error.to_string()))?;
    let is_alone = voters == [options.voter_id];
    if !is_alone {
        raft.runtime_config().tick(true);
        return Ok(());
    }
    if !is_pristine {
        // It votes for itself at once: nobody else could. Founding a group does that by itself, and a second election
        // on top would unseat the leader of the first. It is a no-op for a leader that continues its term.
        raft.trigger().elect().await.map_err(|error| failed(error.to_string()))?;
    }
    match tokio::time::timeout(START_TIMEOUT, lead(raft, options.voter_id)).await {
        Ok(led) => led.map_err(|error| failed(error.to_string())),
        Err(_) => Err(failed(format!("it did not lead within {} seconds", START_TIMEOUT.as_secs()))),
    }
}

/// Waits until this voter leads and has applied everything. An entry of its own proves both: it commits all before it,
/// and its answer says that all of it is applied. What raft reports of itself meanwhile may lag behind.
async fn lead(raft: &Raft<TypeConfig>, voter_id: VoterId) -> Result<(), ProposeError> {
    let mut metrics = raft.metrics();
    loop {
        metrics.mark_unchanged();
        let marker = Batch { base_offset: 0, records: Arc::new([]) };
        match proposer::write_batch(raft, marker).await {
            Err(ProposeError::NotLeader { .. }) => {}
            Err(error) => return Err(error),
            Ok(()) => break,
        }
        metrics.changed().await.map_err(|_| ProposeError::Stopped)?;
    }
    // So that `is_leader` says so, too.
    let leads = metrics.wait_for(|metrics| metrics.current_leader == Some(voter_id)).await;
    leads.map(|_| ()).map_err(|_| ProposeError::Stopped)
}

fn membership_error(
    error: openraft::error::RaftError<VoterId, openraft::error::ClientWriteError<VoterId, BasicNode>>,
) -> ProposeError {
    use openraft::error::{ClientWriteError, RaftError};
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            ProposeError::NotLeader { leader: forward.leader_id }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(_)) => ProposeError::Superseded,
        RaftError::Fatal(_) => ProposeError::Stopped,
    }
}

/// Closes the log file. Tasks of raft that just ended may hold it for another moment.
async fn release(log: LogStore) {
    let deadline = tokio::time::Instant::now() + RELEASE_TIMEOUT;
    while !log.is_last_user() {
        if tokio::time::Instant::now() > deadline {
            tracing::warn!("the metadata log is still in use after the group stopped");
            return;
        }
        tokio::time::sleep(RELEASE_POLL).await;
    }
    // Closing writes to the disk.
    if let Err(error) = tokio::task::spawn_blocking(move || drop(log)).await {
        tracing::error!(%error, "the metadata log was not closed: {error}");
    }
}
