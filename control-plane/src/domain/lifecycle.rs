//! The life of a logical and of a physical cluster: phases, what moves one from phase to phase, and how long it may
//! stay where it should not stay.
//!
//! Each life is one table. A move that is not in it does not happen: the store changes a phase only from the phase that
//! the table names.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use millstream_api::rest::cmk::ClusterPhase;

use super::timestamp::Timestamp;

/// How long a logical cluster may wait for a physical cluster.
const PLACING_LIMIT: Duration = Duration::from_secs(3_600);
/// How long brokers may take until they serve a placed logical cluster.
const PROVISIONING_LIMIT: Duration = Duration::from_secs(3_600);
/// How long an agent may take for a new physical cluster.
const PHYSICAL_PROVISIONING_LIMIT: Duration = Duration::from_secs(3_600);
/// How long an agent may take to remove a physical cluster before a person should look.
const DELETING_LIMIT: Duration = Duration::from_secs(3_600);

/// Where a logical cluster is in its life. A deleted one has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogicalPhase {
    /// No physical cluster hosts it yet.
    Placing,
    /// Brokers do not all serve it yet.
    Provisioning,
    /// Ready.
    Provisioned,
    /// It could not be made. Final: it can be deleted.
    Failed,
}

/// What happens to a logical cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogicalEvent {
    /// A physical cluster hosts it.
    Placed,
    /// Every live broker serves it.
    Served,
    /// The agent cannot make the physical cluster that is its own.
    HostFailed,
    /// It was in its phase for too long.
    Overdue,
}

const LOGICAL: &[(LogicalPhase, LogicalEvent, LogicalPhase)] = &[
    (LogicalPhase::Placing, LogicalEvent::Placed, LogicalPhase::Provisioning),
    (LogicalPhase::Placing, LogicalEvent::Overdue, LogicalPhase::Failed),
    (LogicalPhase::Provisioning, LogicalEvent::Served, LogicalPhase::Provisioned),
    (LogicalPhase::Provisioning, LogicalEvent::HostFailed, LogicalPhase::Failed),
    (LogicalPhase::Provisioning, LogicalEvent::Overdue, LogicalPhase::Failed),
];

impl LogicalPhase {
    /// Every phase.
    pub const ALL: [Self; 4] = [Self::Placing, Self::Provisioning, Self::Provisioned, Self::Failed];

    /// Where an event leads to; none if it means nothing here.
    pub fn after(self, event: LogicalEvent) -> Option<Self> {
        let row = LOGICAL.iter().find(|(from, on, _)| *from == self && *on == event);
        row.map(|(_, _, to)| *to)
    }

    /// How long it may stay here; none for ever.
    pub fn limit(self) -> Option<Duration> {
        match self {
            Self::Placing => Some(PLACING_LIMIT),
            Self::Provisioning => Some(PROVISIONING_LIMIT),
            Self::Provisioned | Self::Failed => None,
        }
    }

    /// Whether it is on its way to be ready.
    pub fn is_pending(self) -> bool {
        self.limit().is_some()
    }

    /// What its owner sees.
    pub fn public(self) -> ClusterPhase {
        match self {
            Self::Placing | Self::Provisioning => ClusterPhase::Provisioning,
            Self::Provisioned => ClusterPhase::Provisioned,
            Self::Failed => ClusterPhase::Failed,
        }
    }

    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Placing => "PLACING",
            Self::Provisioning => "PROVISIONING",
            Self::Provisioned => "PROVISIONED",
            Self::Failed => "FAILED",
        }
    }
}

/// Where a physical cluster is in its life. A removed one has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhysicalPhase {
    /// The agent is at work on it.
    Provisioning,
    /// It serves.
    Ready,
    /// The agent cannot make it, or has lost it.
    Failed,
    /// The agent shall remove it.
    Deleting,
    /// The agent has removed it: its row goes.
    Removed,
}

/// What happens to a physical cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhysicalEvent {
    /// The agent is at work on it.
    ObservedProvisioning,
    /// The agent says that it serves.
    ObservedReady,
    /// The agent says that it failed.
    ObservedFailed,
    /// The agent says that it is not there.
    ObservedDeleted,
    /// Its logical cluster is gone.
    Delete,
    /// It was in its phase for too long.
    Overdue,
}

const PHYSICAL: &[(PhysicalPhase, PhysicalEvent, PhysicalPhase)] = &[
    (PhysicalPhase::Provisioning, PhysicalEvent::ObservedProvisioning, PhysicalPhase::Provisioning),
    (PhysicalPhase::Provisioning, PhysicalEvent::ObservedReady, PhysicalPhase::Ready),
    (PhysicalPhase::Provisioning, PhysicalEvent::ObservedFailed, PhysicalPhase::Failed),
    // Nobody asked for that: what should be there is not.
    (PhysicalPhase::Provisioning, PhysicalEvent::ObservedDeleted, PhysicalPhase::Failed),
    (PhysicalPhase::Provisioning, PhysicalEvent::Delete, PhysicalPhase::Deleting),
    (PhysicalPhase::Provisioning, PhysicalEvent::Overdue, PhysicalPhase::Failed),
    // Its brokers are restarted or away for a while: what it hosts stays where it is, and nothing is overdue. The agent's
    // message says what is wrong until it says that it serves again.
    (PhysicalPhase::Ready, PhysicalEvent::ObservedProvisioning, PhysicalPhase::Ready),
    (PhysicalPhase::Ready, PhysicalEvent::ObservedReady, PhysicalPhase::Ready),
    (PhysicalPhase::Ready, PhysicalEvent::ObservedFailed, PhysicalPhase::Failed),
    (PhysicalPhase::Ready, PhysicalEvent::ObservedDeleted, PhysicalPhase::Failed),
    (PhysicalPhase::Ready, PhysicalEvent::Delete, PhysicalPhase::Deleting),
    // An agent may repair what it gave up.
    (PhysicalPhase::Failed, PhysicalEvent::ObservedProvisioning, PhysicalPhase::Provisioning),
    (PhysicalPhase::Failed, PhysicalEvent::ObservedReady, PhysicalPhase::Ready),
    (PhysicalPhase::Failed, PhysicalEvent::ObservedFailed, PhysicalPhase::Failed),
    (PhysicalPhase::Failed, PhysicalEvent::ObservedDeleted, PhysicalPhase::Failed),
    (PhysicalPhase::Failed, PhysicalEvent::Delete, PhysicalPhase::Deleting),
    // What is still seen of it changes nothing any more.
    (PhysicalPhase::Deleting, PhysicalEvent::ObservedDeleted, PhysicalPhase::Removed),
];

impl PhysicalPhase {
    /// Every phase.
    pub const ALL: [Self; 5] = [Self::Provisioning, Self::Ready, Self::Failed, Self::Deleting, Self::Removed];

    /// Where an event leads to; none if it means nothing here.
    pub fn after(self, event: PhysicalEvent) -> Option<Self> {
        let row = PHYSICAL.iter().find(|(from, on, _)| *from == self && *on == event);
        row.map(|(_, _, to)| *to)
    }

    /// How long it may stay here; none for ever. One that is overdue without a move in the table needs a person.
    pub fn limit(self) -> Option<Duration> {
        match self {
            Self::Provisioning => Some(PHYSICAL_PROVISIONING_LIMIT),
            Self::Deleting => Some(DELETING_LIMIT),
            Self::Ready | Self::Failed | Self::Removed => None,
        }
    }

    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Ready => "READY",
            Self::Failed => "FAILED",
            Self::Deleting => "DELETING",
            Self::Removed => "REMOVED",
        }
    }
}

/// Whether something that came into its phase at `since` has been there for longer than `limit`.
pub fn is_overdue(since: Timestamp, now: Timestamp, limit: Option<Duration>) -> bool {
    let stayed = u128::try_from(now.0.saturating_sub(since.0)).unwrap_or(0);
    limit.is_some_and(|limit| stayed > limit.as_micros())
}

/// A stored phase that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a phase")]
pub struct UnknownPhase(String);

impl FromStr for LogicalPhase {
    type Err = UnknownPhase;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text).ok_or_else(|| UnknownPhase(text.to_owned()))
    }
}

impl FromStr for PhysicalPhase {
    type Err = UnknownPhase;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text).ok_or_else(|| UnknownPhase(text.to_owned()))
    }
}

impl fmt::Display for LogicalPhase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for PhysicalPhase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row per phase, one column per event, in the order of the enums. `-` is no move.
    fn matrix<P: Copy + fmt::Display, E: Copy>(
        phases: &[P],
        events: &[E],
        after: impl Fn(P, E) -> Option<P>,
    ) -> Vec<String> {
        let row = |phase: P| {
            let moves: Vec<String> =
                events.iter().map(|event| after(phase, *event).map_or("-".into(), |to| to.to_string())).collect();
            format!("{phase}: {}", moves.join(" "))
        };
        phases.iter().map(|phase| row(*phase)).collect()
    }

    #[test]
    fn a_logical_cluster_moves_so_and_not_otherwise() {
        use LogicalEvent::{HostFailed, Overdue, Placed, Served};
        let found = matrix(&LogicalPhase::ALL, &[Placed, Served, HostFailed, Overdue], LogicalPhase::after);
        assert_eq!(
            found,
            [
                "PLACING: PROVISIONING - - FAILED",
                "PROVISIONING: - PROVISIONED FAILED FAILED",
                "PROVISIONED: - - - -",
                "FAILED: - - - -",
            ]
        );
    }

    #[test]
    fn a_physical_cluster_moves_so_and_not_otherwise() {
        use PhysicalEvent::{Delete, ObservedDeleted, ObservedFailed, ObservedProvisioning, ObservedReady, Overdue};
        let events = [ObservedProvisioning, ObservedReady, ObservedFailed, ObservedDeleted, Delete, Overdue];
        let found = matrix(&PhysicalPhase::ALL, &events, PhysicalPhase::after);
        assert_eq!(
            found,
            [
                "PROVISIONING: PROVISIONING READY FAILED FAILED DELETING FAILED",
                "READY: READY READY FAILED FAILED DELETING -",
                "FAILED: PROVISIONING READY FAILED FAILED DELETING -",
                "DELETING: - - - REMOVED - -",
                "REMOVED: - - - - - -",
            ]
        );
    }

    #[test]
    fn a_phase_that_something_must_leave_has_a_limit() {
        for phase in LogicalPhase::ALL {
            let is_final = matches!(phase, LogicalPhase::Provisioned | LogicalPhase::Failed);
            assert_eq!(phase.limit().is_none(), is_final, "{phase}");
            assert_eq!(phase.after(LogicalEvent::Overdue).is_none(), is_final, "{phase}");
        }
        for phase in PhysicalPhase::ALL {
            let must_be_left = matches!(phase, PhysicalPhase::Provisioning | PhysicalPhase::Deleting);
            assert_eq!(phase.limit().is_some(), must_be_left, "{phase}");
        }
    }

    #[test]
    fn phases_are_read_as_they_are_stored() {
        for phase in LogicalPhase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
        }
        for phase in PhysicalPhase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
        }
        assert!("READY".parse::<LogicalPhase>().is_err());
    }

    #[test]
    fn only_what_stayed_longer_than_allowed_is_overdue() {
        let limit = Some(Duration::from_secs(1));
        assert!(!is_overdue(Timestamp(0), Timestamp(1_000_000), limit));
        assert!(is_overdue(Timestamp(0), Timestamp(1_000_001), limit));
        assert!(!is_overdue(Timestamp(5), Timestamp(0), limit));
        assert!(!is_overdue(Timestamp(0), Timestamp(i64::MAX), None));
    }
}
