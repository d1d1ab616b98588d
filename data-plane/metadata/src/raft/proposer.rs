//! Runs decisions one after another and writes what they decide.
//!
//! All decisions that wait are run in turn, each on an image that holds the records of those before it; then their
//! records go into one log entry with one fsync, and all of them are answered. While that fsync runs, the next ones
//! gather: many concurrent requests cost few fsyncs, and none sees an image that another one is about to change.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use openraft::Raft;
use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::{mpsc, watch};

use crate::image::{ApplyError, MetadataImage};
use crate::raft::entry::{Applied, Batch};
use crate::raft::{TypeConfig, VoterId};
use crate::records::{MAX_PROPOSAL_RECORDS, MetadataRecord};

/// How many proposals may wait; the next ones wait for room.
pub(crate) const QUEUED_PROPOSALS: usize = 1_024;
/// How many proposals share a log entry at most.
const MAX_BATCH_PROPOSALS: usize = 512;

/// Why records were not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Another voter leads the group.
    #[error("this voter does not lead the metadata group")]
    NotLeader {
        /// The one that does, if known.
        leader: Option<VoterId>,
    },
    /// Leadership moved in between. Nothing was written; try again.
    #[error("metadata changed hands before the records were written, try again")]
    Superseded,
    /// More records than take effect together.
    #[error("{count} records are too many for one proposal, at most {MAX_PROPOSAL_RECORDS} are allowed")]
    TooManyRecords {
        /// How many.
        count: usize,
    },
    /// A record does not fit the image.
    #[error("records do not fit the metadata")]
    Invalid(#[from] ApplyError),
    /// The decision panicked: a bug of its own, nothing was written.
    #[error("the decision failed unexpectedly")]
    Panicked,
    /// The group stops, or stopped because its disk failed. Whether the records were written is unknown.
    #[error("the metadata group has stopped")]
    Stopped,
}

/// What a decision gave: its records, and how to answer once they are written.
pub(crate) struct Prepared {
    pub(crate) records: Vec<MetadataRecord>,
    pub(crate) answer: Answer,
}

/// Called once with the offset after the records, or with why they were not written.
pub(crate) type Answer = Box<dyn FnOnce(Result<u64, ProposeError>) + Send>;

/// A decision that waits for its turn.
pub(crate) type Proposal = Box<dyn FnOnce(&MetadataImage) -> Prepared + Send>;

/// Works until all senders of proposals are gone.
pub(crate) async fn run(
    raft: Raft<TypeConfig>,
    image: watch::Receiver<Arc<MetadataImage>>,
    mut proposals: mpsc::Receiver<Proposal>,
) {
    while let Some(first) = proposals.recv().await {
        let mut gathered = Gathered::on(&image.borrow().clone());
        gathered.add(first);
        while gathered.has_room() {
            let Ok(next) = proposals.try_recv() else { break };
            gathered.add(next);
        }
        gathered.write(&raft).await;
    }
}

struct Gathered {
    base_offset: u64,
    image: MetadataImage,
    records: Vec<MetadataRecord>,
    answers: Vec<(u64, Answer)>,
}

impl Gathered {
    fn on(image: &MetadataImage) -> Self {
        Self { base_offset: image.offset(), image: image.clone(), records: Vec::new(), answers: Vec::new() }
    }

    fn has_room(&self) -> bool {
        self.answers.len() < MAX_BATCH_PROPOSALS && self.records.len() < MAX_PROPOSAL_RECORDS
    }

    fn add(&mut self, proposal: Proposal) {
        // The decision only reads the image, so nothing is half done when it panics: its answer is dropped, which
        // tells the requester.
        let Ok(prepared) = catch_unwind(AssertUnwindSafe(|| proposal(&self.image))) else {
            tracing::error!("a metadata decision panicked");
            return;
        };
        let count = prepared.records.len();
        if count > MAX_PROPOSAL_RECORDS {
            (prepared.answer)(Err(ProposeError::TooManyRecords { count }));
            return;
        }
        let mut image = self.image.clone();
        if let Err(error) = image.apply_all(&prepared.records) {
            (prepared.answer)(Err(ProposeError::Invalid(error)));
            return;
        }
        self.answers.push((image.offset(), prepared.answer));
        self.image = image;
        self.records.extend(prepared.records);
    }

    async fn write(self, raft: &Raft<TypeConfig>) {
        let outcome = if self.records.is_empty() {
            Ok(())
        } else {
            write_batch(raft, Batch { base_offset: self.base_offset, records: self.records.into() }).await
        };
        for (offset, answer) in self.answers {
            answer(outcome.clone().map(|()| offset));
        }
    }
}

/// Writes one batch; it is applied and published when this returns.
pub(crate) async fn write_batch(raft: &Raft<TypeConfig>, batch: Batch) -> Result<(), ProposeError> {
    match raft.client_write(batch).await {
        Ok(written) => match written.data {
            Applied::At(_) => Ok(()),
            Applied::Superseded => Err(ProposeError::Superseded),
        },
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
            Err(ProposeError::NotLeader { leader: forward.leader_id })
        }
        Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(_))) => Err(ProposeError::Superseded),
        Err(RaftError::Fatal(error)) => {
            tracing::error!(%error, "the metadata group cannot write: {error}");
            Err(ProposeError::Stopped)
        }
    }
}
