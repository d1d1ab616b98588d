//! The raft group that keeps the metadata: log and snapshot on disk, one image in memory.
//!
//! [`MetadataGroup`] is the door. Behind it: `proposer` runs decisions one after another and writes the records
//! of all that are waiting as one log entry with one fsync; `log_store` is the log, in redb; `state_machine` applies
//! entries to the image and publishes it; `files` and `snapshot_file` are what lies in the directory; `network` carries
//! messages between voters over a transport that the broker supplies.
//!
//! Today a group has one voter and needs no transport. Everything a larger group needs is here and tested, so that
//! more voters are a matter of configuration.

use std::io::Cursor;

mod entry;
mod files;
mod group;
mod log_store;
pub mod network;
mod proposer;
mod snapshot_file;
mod state_machine;

pub use files::StartError;
pub use group::{DecideError, Founding, MetadataGroup, SNAPSHOT_AFTER_ENTRIES, VoterOptions};
pub use proposer::ProposeError;

/// The number of a voter. The same as its broker id, where a process is both.
pub type VoterId = u64;

openraft::declare_raft_types!(
    /// The types of the metadata group.
    pub(crate) TypeConfig:
        D = entry::Batch,
        R = entry::Applied,
        NodeId = VoterId,
        Node = openraft::BasicNode,
        SnapshotData = Cursor<Vec<u8>>,
);

#[cfg(test)]
mod storage_tests {
    //! openraft's own suite: what it expects of any log and state machine.

    use openraft::StorageError;
    use openraft::testing::{StoreBuilder, Suite};
    use tempfile::TempDir;

    use super::files::Layout;
    use super::log_store::LogStore;
    use super::state_machine::StateMachine;
    use super::{TypeConfig, VoterId};

    struct InTemporaryDirectory;

    impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for InTemporaryDirectory {
        async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<VoterId>> {
            let directory = tempfile::tempdir().unwrap();
            let layout = Layout::of(directory.path());
            layout.prepare().unwrap();
            let log = LogStore::open(&layout, 0).unwrap();
            Ok((directory, log, StateMachine::new(layout.snapshot, None)))
        }
    }

    #[test]
    fn the_storage_is_what_openraft_expects() {
        Suite::test_all(InTemporaryDirectory).unwrap();
    }
}
