//! How much later a cluster's records come while another cluster of the same broker pushes as much as it is let.
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use millstream_e2e::process::wait_until;
use millstream_e2e::rest::text_at;
use serde_json::json;

use super::PARTITIONS;
use super::control_plane::installation::{Installation, Key};
use crate::histogram::Histogram;
use crate::load::closed_loop::Load;
use crate::load::open_loop;
use crate::report::{Report, median};
use crate::topic::Topic;
use crate::workbench::Workbench;

/// A steady trickle: what a neighbour that does not load the machine itself would notice.
const RECORDS_PER_SECOND: u64 = 1_000;
const RECORD_BYTES: usize = 1_024;
/// What is left of a phase's beginning is not counted: until then answers of the phase before are still due, and unused time is spent.
const SETTLING: Duration = Duration::from_secs(2);
/// Of a Basic cluster of one eCKU.
const INGRESS_BYTES_PER_SECOND: f64 = 5e6;
/// Each has one request in flight: together they offer many times what the cluster may take.
const PUSHERS: usize = 16;
const PUSHED_RECORD_BYTES: usize = 250_000;
const PUSHED_PARTITIONS: i32 = 6;
const PROVISIONED_LIMIT: Duration = Duration::from_secs(30);

/// One run of the neighbour, in which quiet and loud phases alternate: the same connections, topics and heap in both, and the machine's
/// own drift falls on both.
pub fn run(workbench: &Workbench, report: &mut Report) -> Result<()> {
    let phases = Phases { pairs: workbench.pick(12, 2), length: Duration::from_secs(workbench.pick(10, 4)) };
    let installation = Installation::start(None, "neighbour", workbench)?;
    let pushing = installation.kafka(&pushing_key(&installation)?);
    let neighbour = installation.kafka(&key(&installation, installation.cluster())?);
    let pushed = Topic::create(&pushing, "pushed", PUSHED_PARTITIONS)?;
    let topic = Topic::create(&neighbour, "neighbour", PARTITIONS)?;
    let settings = open_loop::Settings {
        records_per_second: RECORDS_PER_SECOND,
        record_bytes: RECORD_BYTES,
        duration: phases.total(),
    };
    let mut latency_us = vec![Histogram::default(); phases.count()];
    let observe = |due_after, latency| {
        if let Some(phase) = phases.counted_in(due_after) {
            latency_us[phase].record(latency);
        }
    };
    // Opened before anything is measured: new connections have a rate, too.
    let load = Load::open(&pushing, &pushed, PUSHERS, PUSHED_RECORD_BYTES)?;
    let started = Instant::now();
    let shares = std::thread::scope(|scope| -> Result<Vec<f64>> {
        let push = scope.spawn(move || push(load, phases, started));
        let outcome = open_loop::run_observed(&neighbour, &topic, settings, observe)?;
        topic.expect_record_count(&neighbour, outcome.records)?;
        push.join().map_err(|_| anyhow!("a load thread panicked"))?
    })?;
    report.paragraph(&format!(
        "A neighbour sends {RECORDS_PER_SECOND} records of {RECORD_BYTES} bytes per second to its cluster; its latency is as in w4. Another \
         cluster of the same broker, limited to 5 MB/s, is pushed in every other phase by {PUSHERS} connections with a request of \
         {PUSHED_RECORD_BYTES} bytes in flight each, which know of no throttle time. One run of {} phases of {} s in the order quiet, loud, \
         loud, quiet; the first {} s of each are not counted.",
        phases.count(),
        phases.length.as_secs(),
        SETTLING.as_secs(),
    ));
    write_table(&latency_us, &shares, report);
    Ok(())
}

/// Quiet and loud phases of one length.
#[derive(Debug, Clone, Copy)]
struct Phases {
    /// Each has one of both.
    pairs: usize,
    length: Duration,
}

impl Phases {
    fn count(self) -> usize {
        2 * self.pairs
    }

    fn total(self) -> Duration {
        self.length * self.count() as u32
    }

    /// Every other pair begins with the loud one: what drifts steadily falls on both alike.
    fn is_loud(phase: usize) -> bool {
        matches!(phase % 4, 1 | 2)
    }

    /// The phase in which a record counts that was due then.
    fn counted_in(self, due_after: Duration) -> Option<usize> {
        let phase = (due_after.as_nanos() / self.length.as_nanos()) as usize;
        let since = due_after.saturating_sub(self.length * phase as u32);
        (phase < self.count() && since >= SETTLING).then_some(phase)
    }
}

/// Pushes in the loud phases; what got through in each, as a part of the limit.
fn push(mut load: Load, phases: Phases, started: Instant) -> Result<Vec<f64>> {
    let mut shares = Vec::with_capacity(phases.pairs);
    for phase in (0..phases.count()).filter(|phase| Phases::is_loud(*phase)) {
        let begins = started + phases.length * phase as u32;
        std::thread::sleep(begins.saturating_duration_since(Instant::now()));
        // Answers of the loud phase before may have taken some of this one.
        let duration = (begins + phases.length).saturating_duration_since(Instant::now());
        let pushed = load.run(duration)?;
        shares.push(pushed.requests_per_second() * PUSHED_RECORD_BYTES as f64 / INGRESS_BYTES_PER_SECOND);
    }
    Ok(shares)
}

fn write_table(latency_us: &[Histogram], shares: &[f64], report: &mut Report) {
    let mut rows = Vec::new();
    let mut shifts = Vec::new();
    let (mut all_quiet, mut all_loud) = (Histogram::default(), Histogram::default());
    for (pair, share) in latency_us.chunks_exact(2).zip(shares) {
        let loud_first = rows.len() % 2 == 1;
        let (quiet, loud) = if loud_first { (&pair[1], &pair[0]) } else { (&pair[0], &pair[1]) };
        all_quiet.add(quiet);
        all_loud.add(loud);
        shifts.push(shift(quiet, loud));
        rows.push(row(&format!("pair {}", rows.len() + 1), quiet, loud, &format!("{share:.3}")));
    }
    rows.push(row("all records", &all_quiet, &all_loud, ""));
    let columns =
        ["", "p50 quiet, µs", "p50 loud, µs", "p99 quiet, µs", "p99 loud, µs", "shift of the p99", "pushed / limit"];
    report.table("A neighbour's latency", &columns, &rows);
    if let Some(median) = median(&shifts) {
        report.paragraph(&format!("Median shift of the p99 over the pairs: {median:+.1} %."));
    }
}

fn row(name: &str, quiet: &Histogram, loud: &Histogram, share: &str) -> Vec<String> {
    let of = |histogram: &Histogram, percent| histogram.percentile(percent).to_string();
    vec![
        name.to_owned(),
        of(quiet, 50.0),
        of(loud, 50.0),
        of(quiet, 99.0),
        of(loud, 99.0),
        format!("{:+.1} %", shift(quiet, loud)),
        share.to_owned(),
    ]
}

/// Of the p99, in percent.
fn shift(quiet: &Histogram, loud: &Histogram) -> f64 {
    (loud.percentile(99.0) as f64 / quiet.percentile(99.0).max(1) as f64 - 1.0) * 100.0
}

/// A key of a new cluster with one eCKU.
fn pushing_key(installation: &Installation) -> Result<Key> {
    let mut rest = installation.rest()?;
    let body = json!({"spec": {
        "display_name": "pushing", "availability": "LOW", "cloud": "AWS", "region": "us-east-2",
        "config": {"kind": "Basic", "max_ecku": 1}, "environment": {"id": installation.environment()},
    }});
    let cluster = text_at(&rest.call("POST", "/cmk/v2/clusters", Some(&body))?, "/id")?;
    let path = format!("/cmk/v2/clusters/{cluster}?environment={}", installation.environment());
    let is_provisioned = wait_until(PROVISIONED_LIMIT, || {
        let phase = rest.call("GET", &path, None).and_then(|answer| text_at(&answer, "/status/phase"));
        phase.is_ok_and(|phase| phase == "PROVISIONED")
    });
    ensure!(is_provisioned, "the cluster is not provisioned");
    key(installation, &cluster)
}

fn key(installation: &Installation, cluster: &str) -> Result<Key> {
    let mut rest = installation.rest()?;
    let account = installation.create_account(&mut rest)?;
    installation.bind(&mut rest, &account, "OrganizationAdmin", &installation.organization_crn)?;
    installation.create_key(&mut rest, &account, Some(cluster))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: Phases = Phases { pairs: 4, length: Duration::from_secs(10) };

    #[test]
    fn quiet_and_loud_phases_have_the_same_middle() {
        let middle = |loud| {
            let phases = (0..PHASES.count()).filter(|phase| Phases::is_loud(*phase) == loud);
            phases.map(|phase| phase as f64).sum::<f64>() / PHASES.pairs as f64
        };
        assert!((middle(true) - middle(false)).abs() < f64::EPSILON);
    }

    #[test]
    fn a_record_counts_in_its_phase_once_that_has_settled() {
        let counted = |seconds| PHASES.counted_in(Duration::from_secs(seconds));
        assert_eq!(counted(1), None);
        assert_eq!(counted(2), Some(0));
        assert_eq!(counted(9), Some(0));
        assert_eq!(counted(11), None);
        assert_eq!(counted(39), Some(3));
        assert_eq!(counted(79), Some(7));
        assert_eq!(counted(85), None);
    }
}
