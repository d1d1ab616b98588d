//! `GET /metrics`: what this replica counts and what the database shows, as Prometheus text.
//!
//! Promises: labels are phases and kinds of things, never ids, so that the number of lines does not grow. While the
//! database is away the page says so and leaves out what only the database knows.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use tracing::warn;

use crate::app::App;
use crate::domain::lifecycle::{LogicalPhase, PhysicalPhase};
use crate::domain::timestamp::Timestamp;
use crate::store::error::StoreError;
use crate::store::phases::{self, PhaseCount};

/// Media type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What one replica counts.
#[derive(Default)]
pub struct Metrics {
    repaired_quota_counters: AtomicU64,
    repaired_reservations: AtomicU64,
}

impl Metrics {
    /// A recount put something right.
    pub fn count_repairs(&self, quota_counters: usize, reservations: usize) {
        self.repaired_quota_counters.fetch_add(quota_counters as u64, Ordering::Relaxed);
        self.repaired_reservations.fetch_add(reservations as u64, Ordering::Relaxed);
    }
}

/// Where the clusters of this installation are in their lives.
struct Clusters {
    logical: Vec<PhaseCount<LogicalPhase>>,
    physical: Vec<PhaseCount<PhysicalPhase>>,
    degraded_physical: i64,
}

/// The page.
pub async fn export(State(app): State<Arc<App>>) -> Response {
    let clusters = match read(&app).await {
        Ok(clusters) => Some(clusters),
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "cannot read the phases of clusters for the metrics");
            None
        }
    };
    ([(CONTENT_TYPE, TEXT_FORMAT)], render(&app.metrics, clusters.as_ref(), app.clock.now())).into_response()
}

async fn read(app: &App) -> Result<Clusters, StoreError> {
    let mut transaction = app.database.read().await?;
    let logical = phases::of_logical_clusters(&mut transaction).await?;
    let physical = phases::of_physical_clusters(&mut transaction).await?;
    let degraded_physical = phases::degraded_physical_clusters(&mut transaction).await?;
    Ok(Clusters { logical, physical, degraded_physical })
}

fn render(metrics: &Metrics, clusters: Option<&Clusters>, now: Timestamp) -> String {
    let mut page = Page(String::new());
    page.family("database_up", "gauge", "Whether this replica reached its database just now.");
    page.line("database_up", "", u8::from(clusters.is_some()));
    let help = "Counters that were wrong and that a recount at this replica put right. Anything but 0 is a bug.";
    page.family("recount_repairs_total", "counter", help);
    for (kind, count) in [("quota", &metrics.repaired_quota_counters), ("reservation", &metrics.repaired_reservations)]
    {
        page.line("recount_repairs_total", &format!("{{counter=\"{kind}\"}}"), count.load(Ordering::Relaxed));
    }
    let Some(clusters) = clusters else { return page.0 };
    page.family("logical_clusters", "gauge", "Logical clusters by phase.");
    for phase in LogicalPhase::ALL {
        let count = clusters.logical.iter().find(|row| row.phase == phase).map_or(0, |row| row.count);
        page.line("logical_clusters", &format!("{{phase=\"{phase}\"}}"), count);
    }
    page.family("physical_clusters", "gauge", "Physical clusters by phase.");
    for phase in PhysicalPhase::ALL {
        let count = clusters.physical.iter().find(|row| row.phase == phase).map_or(0, |row| row.count);
        page.line("physical_clusters", &format!("{{phase=\"{phase}\"}}"), count);
    }
    let help = "Physical clusters that are READY and of which their agent says that something is wrong.";
    page.family("physical_clusters_degraded", "gauge", help);
    page.line("physical_clusters_degraded", "", clusters.degraded_physical);
    let help = "How long the cluster that is in a phase for longest has been there. Only phases that must be left.";
    page.family("phase_age_seconds", "gauge", help);
    for phase in LogicalPhase::ALL.into_iter().filter(|phase| phase.limit().is_some()) {
        let age = clusters.logical.iter().find(|row| row.phase == phase).map_or(0.0, |row| row.age_seconds(now));
        page.line("phase_age_seconds", &format!("{{cluster=\"logical\",phase=\"{phase}\"}}"), age);
    }
    for phase in PhysicalPhase::ALL.into_iter().filter(|phase| phase.limit().is_some()) {
        let age = clusters.physical.iter().find(|row| row.phase == phase).map_or(0.0, |row| row.age_seconds(now));
        page.line("phase_age_seconds", &format!("{{cluster=\"physical\",phase=\"{phase}\"}}"), age);
    }
    page.0
}

impl<P> PhaseCount<P> {
    fn age_seconds(&self, now: Timestamp) -> f64 {
        now.0.saturating_sub(self.oldest_since).max(0) as f64 / 1_000_000.0
    }
}

/// A page under construction.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP millstream_{name} {help}\n# TYPE millstream_{name} {kind}").expect(CANNOT_FAIL);
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        writeln!(self.0, "millstream_{name}{labels} {value}").expect(CANNOT_FAIL);
    }
}

const CANNOT_FAIL: &str = "writing to a String cannot fail";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(clusters: Option<&Clusters>, expected: &str) {
        let metrics = Metrics::default();
        metrics.count_repairs(2, 1);
        let page = render(&metrics, clusters, Timestamp(90_000_000));
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples.join("\n"), expected);
    }

    #[test]
    fn every_phase_has_a_line_and_those_that_must_be_left_an_age() {
        let clusters = Clusters {
            logical: vec![
                PhaseCount { phase: LogicalPhase::Placing, count: 3, oldest_since: 60_000_000 },
                PhaseCount { phase: LogicalPhase::Provisioned, count: 7, oldest_since: 1 },
            ],
            physical: vec![PhaseCount { phase: PhysicalPhase::Deleting, count: 1, oldest_since: 88_500_000 }],
            degraded_physical: 2,
        };
        check(
            Some(&clusters),
            "millstream_database_up 1\n\
             millstream_recount_repairs_total{counter=\"quota\"} 2\n\
             millstream_recount_repairs_total{counter=\"reservation\"} 1\n\
             millstream_logical_clusters{phase=\"PLACING\"} 3\n\
             millstream_logical_clusters{phase=\"PROVISIONING\"} 0\n\
             millstream_logical_clusters{phase=\"PROVISIONED\"} 7\n\
             millstream_logical_clusters{phase=\"FAILED\"} 0\n\
             millstream_physical_clusters{phase=\"PROVISIONING\"} 0\n\
             millstream_physical_clusters{phase=\"READY\"} 0\n\
             millstream_physical_clusters{phase=\"FAILED\"} 0\n\
             millstream_physical_clusters{phase=\"DELETING\"} 1\n\
             millstream_physical_clusters{phase=\"REMOVED\"} 0\n\
             millstream_physical_clusters_degraded 2\n\
             millstream_phase_age_seconds{cluster=\"logical\",phase=\"PLACING\"} 30\n\
             millstream_phase_age_seconds{cluster=\"logical\",phase=\"PROVISIONING\"} 0\n\
             millstream_phase_age_seconds{cluster=\"physical\",phase=\"PROVISIONING\"} 0\n\
             millstream_phase_age_seconds{cluster=\"physical\",phase=\"DELETING\"} 1.5",
        );
    }

    #[test]
    fn without_the_database_the_page_says_so_and_what_the_replica_counts_itself() {
        check(
            None,
            "millstream_database_up 0\n\
             millstream_recount_repairs_total{counter=\"quota\"} 2\n\
             millstream_recount_repairs_total{counter=\"reservation\"} 1",
        );
    }
}
