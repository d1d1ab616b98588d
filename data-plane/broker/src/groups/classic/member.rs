//! One member of a group: what it offered, what it was assigned, what it waits for.

use bytes::Bytes;

use super::event::{Protocol, Token};

/// One member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Given by the coordinator.
    pub member_id: String,
    /// Names a static member across restarts.
    pub group_instance_id: Option<String>,
    /// The client's own name.
    pub client_id: String,
    /// The address the client comes from.
    pub client_host: String,
    /// How long the member may be silent.
    pub session_timeout_ms: i32,
    /// How long the member needs to come back when the group rebalances.
    pub rebalance_timeout_ms: i32,
    /// In the member's order of preference; names are unique.
    pub protocols: Vec<Protocol>,
    /// The leader's bytes for this member.
    pub assignment: Bytes,
    /// The join request that waits for the rebalance to complete.
    pub(super) awaiting_join: Option<Token>,
    /// The sync request that waits for the leader.
    pub(super) awaiting_sync: Option<Token>,
    /// Its first join has not been answered, so it cannot send heartbeats yet.
    pub(super) is_new: bool,
    /// When the member counts as dead; absent while a waiting request proves that it lives.
    pub(super) session_deadline_ms: Option<u64>,
}

impl Member {
    /// The member's bytes for a protocol.
    pub fn metadata(&self, protocol_name: &str) -> Bytes {
        let offered = self.protocols.iter().find(|protocol| protocol.name == protocol_name);
        offered.map(|protocol| protocol.metadata.clone()).unwrap_or_default()
    }

    /// The first of the member's protocols that is among the candidates.
    pub(super) fn vote<'a>(&self, candidates: &[&'a str]) -> Option<&'a str> {
        self.protocols
            .iter()
            .find_map(|protocol| candidates.iter().copied().find(|candidate| *candidate == protocol.name))
    }

    /// What the member costs in memory and in the log.
    pub(super) fn size_bytes(&self) -> usize {
        size_bytes(&self.client_id, self.group_instance_id.as_deref(), &self.protocols)
            + self.member_id.len()
            + self.client_host.len()
            + self.assignment.len()
    }

    pub(super) fn is_awaiting_join(&self) -> bool {
        self.awaiting_join.is_some()
    }

    /// A request that waits here proves that the member lives, except a first join: its client may long be gone.
    pub(super) fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}

/// What the variable parts of a join cost.
pub(super) fn size_bytes(client_id: &str, group_instance_id: Option<&str>, protocols: &[Protocol]) -> usize {
    let offered: usize = protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len()).sum();
    client_id.len() + group_instance_id.map_or(0, str::len) + offered
}
