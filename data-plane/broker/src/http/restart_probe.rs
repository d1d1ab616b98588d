//! Whether this broker may be restarted now, and whether it is back after a restart. For whoever rolls a fleet.
//!
//! Promises: `safe` is said only when nothing that the broker knows speaks against it, and what it cannot tell speaks
//! against it; status 503 goes with the opposite. While a broker starts it does not answer at all, which is no
//! either. Names no tenant. Never restarts anything.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use crate::broker::Broker;

/// The answer of both probes.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Verdict {
    safe: bool,
    /// What speaks against it, or what to know if nothing does.
    reasons: Vec<String>,
}

/// What the probes look at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Observed {
    /// Every change of the metadata is applied, and every topic in it is opened here.
    metadata_followed: bool,
    /// Metadata entries in the log that are not applied.
    metadata_entries_behind: u64,
    metadata_has_leader: bool,
    /// A copy of the metadata is on its way to the object store.
    backup_runs: bool,
    /// Partitions whose log could not be opened.
    offline_partitions: usize,
    /// Partitions whose log is open.
    open_partitions: usize,
    configuration_unsaved: bool,
    configuration: Configuration,
}

/// What the broker knows of its tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Configuration {
    /// Nothing: its control plane has not said anything yet.
    Unknown,
    /// What it was told last, if anything; it has no control plane to ask.
    Alone,
    /// What it was told last; its control plane does not answer.
    Disconnected,
    /// Its control plane is connected.
    Connected {
        /// The revision in force.
        revision: u64,
        /// The newest that the control plane spoke of.
        head: u64,
    },
}

/// May it be restarted now?
pub(super) async fn pre(State(broker): State<Arc<Broker>>) -> (StatusCode, Json<Verdict>) {
    answer(may_restart(&observe(&broker)))
}

/// Is it back?
pub(super) async fn post(State(broker): State<Arc<Broker>>) -> (StatusCode, Json<Verdict>) {
    answer(is_back(&observe(&broker)))
}

fn answer(verdict: Verdict) -> (StatusCode, Json<Verdict>) {
    let status = if verdict.safe { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(verdict))
}

fn observe(broker: &Broker) -> Observed {
    let fleet = broker.fleet.report();
    let position = broker.tenants.position();
    let (open_partitions, offline_partitions) = broker.partitions.count();
    let configuration = match (position.epoch, fleet.configured, fleet.config_connected) {
        (_, false, _) => Configuration::Alone,
        (0, true, _) => Configuration::Unknown,
        (_, true, false) => Configuration::Disconnected,
        (_, true, true) => Configuration::Connected { revision: position.revision, head: fleet.head_revision },
    };
    Observed {
        metadata_followed: broker.partitions.has_followed(&broker.metadata.image()),
        metadata_entries_behind: broker.metadata.entries_behind(),
        metadata_has_leader: broker.metadata.leader().is_some(),
        backup_runs: broker.backup.report().running,
        offline_partitions,
        open_partitions,
        configuration_unsaved: fleet.image_unsaved,
        configuration,
    }
}

fn may_restart(observed: &Observed) -> Verdict {
    let mut against = metadata_problems(observed);
    if observed.backup_runs {
        against.push("a copy of the cluster metadata is being written to the object store".to_owned());
    }
    if observed.configuration_unsaved {
        against.push("the tenant configuration in force is not on disk: a restart would forget it".to_owned());
    }
    let alone = "records are on this broker alone: they survive a restart, and their clients wait for it";
    let note = if observed.open_partitions > 0 { vec![alone.to_owned()] } else { Vec::new() };
    verdict(against, note)
}

fn is_back(observed: &Observed) -> Verdict {
    let mut against = metadata_problems(observed);
    if observed.offline_partitions > 0 {
        against.push(format!("the logs of {} partitions could not be opened", observed.offline_partitions));
    }
    match observed.configuration {
        Configuration::Unknown => against.push("there is no tenant configuration".to_owned()),
        Configuration::Disconnected => {
            against.push("the control plane is not connected: the tenant configuration may be old".to_owned());
        }
        Configuration::Connected { revision, head } if revision < head => {
            against.push(format!("the tenant configuration is at revision {revision} of {head}"));
        }
        Configuration::Connected { .. } | Configuration::Alone => {}
    }
    verdict(against, Vec::new())
}

fn metadata_problems(observed: &Observed) -> Vec<String> {
    let mut problems = Vec::new();
    if !observed.metadata_has_leader {
        problems.push("the metadata group has no leader".to_owned());
    }
    if observed.metadata_entries_behind > 0 {
        problems.push(format!("{} entries of the metadata log are not applied", observed.metadata_entries_behind));
    }
    if !observed.metadata_followed {
        problems.push("partitions of a change of the metadata are being opened or closed".to_owned());
    }
    problems
}

fn verdict(against: Vec<String>, note: Vec<String>) -> Verdict {
    let safe = against.is_empty();
    Verdict { safe, reasons: if safe { note } else { against } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Observed = Observed {
        metadata_followed: true,
        metadata_entries_behind: 0,
        metadata_has_leader: true,
        backup_runs: false,
        offline_partitions: 0,
        open_partitions: 1,
        configuration_unsaved: false,
        configuration: Configuration::Connected { revision: 7, head: 7 },
    };

    #[test]
    fn a_quiet_broker_may_be_restarted_and_says_what_that_means() {
        let verdict = may_restart(&QUIET);
        assert!(verdict.safe);
        assert!(verdict.reasons[0].contains("this broker alone"), "{verdict:?}");
        assert_eq!(may_restart(&Observed { open_partitions: 0, ..QUIET }).reasons, [""; 0]);
        assert_eq!(is_back(&QUIET), Verdict { safe: true, reasons: Vec::new() });
    }

    #[test]
    fn what_speaks_against_a_restart_is_said() {
        for (observed, reason) in [
            (Observed { metadata_followed: false, ..QUIET }, "being opened or closed"),
            (Observed { metadata_entries_behind: 3, ..QUIET }, "3 entries"),
            (Observed { metadata_has_leader: false, ..QUIET }, "no leader"),
            (Observed { backup_runs: true, ..QUIET }, "object store"),
            (Observed { configuration_unsaved: true, ..QUIET }, "not on disk"),
        ] {
            let verdict = may_restart(&observed);
            assert!(!verdict.safe && verdict.reasons.len() == 1 && verdict.reasons[0].contains(reason), "{verdict:?}");
        }
    }

    #[test]
    fn a_control_plane_that_is_away_does_not_forbid_a_restart() {
        for configuration in [Configuration::Alone, Configuration::Disconnected, Configuration::Unknown] {
            assert!(may_restart(&Observed { configuration, ..QUIET }).safe, "{configuration:?}");
        }
    }

    #[test]
    fn what_is_missing_after_a_restart_is_said() {
        let with = |configuration| Observed { configuration, ..QUIET };
        for (observed, reason) in [
            (Observed { metadata_followed: false, ..QUIET }, "being opened or closed"),
            (Observed { metadata_entries_behind: 3, ..QUIET }, "3 entries"),
            (Observed { metadata_has_leader: false, ..QUIET }, "no leader"),
            (Observed { offline_partitions: 2, ..QUIET }, "2 partitions"),
            (with(Configuration::Unknown), "no tenant configuration"),
            (with(Configuration::Disconnected), "not connected"),
            (with(Configuration::Connected { revision: 6, head: 7 }), "revision 6 of 7"),
        ] {
            let verdict = is_back(&observed);
            assert!(!verdict.safe && verdict.reasons.len() == 1 && verdict.reasons[0].contains(reason), "{verdict:?}");
        }
        assert!(is_back(&with(Configuration::Alone)).safe);
    }
}
