//! What the operator counts, as Prometheus text. Labels have words of our own only, so their number is bounded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use crate::crd::conditions::Reason;

/// All counters of one operator.
#[derive(Default)]
pub struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    acts: bool,
    definition_missing: bool,
    reconciliations: u64,
    failures: u64,
    seconds: f64,
    actions: BTreeMap<Reason, u64>,
    /// What each cluster waits for; none if it is settled.
    clusters: BTreeMap<String, Option<Reason>>,
}

impl Metrics {
    /// Whether this operator is the one that acts.
    pub fn set_acts(&self, acts: bool) {
        self.change(|counts| counts.acts = acts);
    }

    /// Whether the API server lacks the definition of KafkaCluster.
    pub fn set_definition_missing(&self, missing: bool) {
        self.change(|counts| counts.definition_missing = missing);
    }

    /// What was said about it last.
    pub fn is_definition_missing(&self) -> bool {
        let mut missing = false;
        self.change(|counts| missing = counts.definition_missing);
        missing
    }

    /// One reconciliation that came to its end.
    pub fn reconciled(&self, took: Duration) {
        self.change(|counts| {
            counts.reconciliations += 1;
            counts.seconds += took.as_secs_f64();
        });
    }

    /// One that did not.
    pub fn failed(&self) {
        self.change(|counts| counts.failures += 1);
    }

    /// Something was changed.
    pub fn acted(&self, reason: Reason) {
        self.change(|counts| *counts.actions.entry(reason).or_default() += 1);
    }

    /// What a cluster waits for.
    pub fn set_cluster(&self, name: &str, waits_for: Option<Reason>) {
        self.change(|counts| {
            counts.clusters.insert(name.to_owned(), waits_for);
        });
    }

    /// A cluster is gone.
    pub fn forget_cluster(&self, name: &str) {
        self.change(|counts| {
            counts.clusters.remove(name);
        });
    }

    /// The page.
    pub fn render(&self) -> String {
        let mut page = String::new();
        self.change(|counts| render(counts, &mut page).expect("a String takes everything"));
        page
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().expect("no count panics"));
    }
}

fn render(counts: &Counts, page: &mut String) -> std::fmt::Result {
    let metric = |page: &mut String, name: &str, kind: &str, help: &str| {
        writeln!(page, "# HELP millstream_operator_{name} {help}\n# TYPE millstream_operator_{name} {kind}")
    };
    metric(page, "leader", "gauge", "Whether this operator is the one that acts.")?;
    writeln!(page, "millstream_operator_leader {}", u8::from(counts.acts))?;
    metric(page, "definition_missing", "gauge", "Whether the API server lacks the definition of KafkaCluster.")?;
    writeln!(page, "millstream_operator_definition_missing {}", u8::from(counts.definition_missing))?;
    metric(page, "reconciliations_total", "counter", "Reconciliations that came to their end.")?;
    writeln!(page, "millstream_operator_reconciliations_total {}", counts.reconciliations)?;
    metric(page, "reconciliation_failures_total", "counter", "Reconciliations that did not.")?;
    writeln!(page, "millstream_operator_reconciliation_failures_total {}", counts.failures)?;
    metric(page, "reconciliation_seconds_total", "counter", "Time spent in reconciliations.")?;
    writeln!(page, "millstream_operator_reconciliation_seconds_total {}", counts.seconds)?;
    metric(page, "actions_total", "counter", "Changes to members and their volumes, by reason.")?;
    for (reason, count) in &counts.actions {
        writeln!(page, "millstream_operator_actions_total{{reason=\"{reason}\"}} {count}")?;
    }
    metric(page, "clusters", "gauge", "Clusters by what they wait for; AsSpecified for those that wait for nothing.")?;
    let mut by_reason: BTreeMap<Reason, u64> = BTreeMap::new();
    for waits_for in counts.clusters.values() {
        *by_reason.entry(waits_for.unwrap_or(Reason::AsSpecified)).or_default() += 1;
    }
    for (reason, count) in by_reason {
        writeln!(page, "millstream_operator_clusters{{reason=\"{reason}\"}} {count}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_counted_by_what_they_wait_for() {
        let metrics = Metrics::default();
        metrics.set_cluster("a", None);
        metrics.set_cluster("b", Some(Reason::Rolling));
        metrics.set_cluster("c", Some(Reason::Rolling));
        metrics.set_cluster("c", Some(Reason::CatchingUp));
        metrics.forget_cluster("a");
        metrics.acted(Reason::Rolling);
        metrics.set_acts(true);
        let page = metrics.render();
        let expected = [
            "millstream_operator_leader 1",
            "millstream_operator_clusters{reason=\"Rolling\"} 1",
            "millstream_operator_clusters{reason=\"CatchingUp\"} 1",
            "millstream_operator_actions_total{reason=\"Rolling\"} 1",
        ];
        expected.iter().for_each(|line| assert!(page.contains(line), "{page}"));
        assert!(!page.contains("AsSpecified\"}"), "{page}");
    }
}
