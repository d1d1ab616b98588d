//! The cluster metadata log: records, image, deltas, snapshots, and the raft group that keeps them.
