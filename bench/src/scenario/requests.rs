//! W3: how many requests a system answers, and what each costs.
use std::time::Duration;

use anyhow::Result;

use super::PARTITIONS;
use crate::load::closed_loop::{self, Settings};
use crate::report::{Metric, Report};
use crate::rounds::alternate;
use crate::subject::Subject;
use crate::usage;
use crate::workbench::Workbench;

const CONNECTIONS: usize = 64;
const RECORD_BYTES: usize = 100;
const METRICS: [Metric; 10] = [
    Metric::new("requests/s", 0),
    Metric::at_least("requests per broker CPU-s", 0, 5.0),
    Metric::new("broker CPU µs per request", 2),
    Metric::new("p50, µs", 0),
    Metric::new("p99, µs", 0),
    Metric::new("p99.9, µs", 0),
    Metric::new("max, µs", 0),
    Metric::new("broker CPU-s", 2),
    Metric::new("generator CPU-s", 2),
    Metric::new("peak RSS, MiB", 0),
];

pub fn run(workbench: &Workbench, report: &mut Report) -> Result<()> {
    let mut subjects = Subject::start_all(workbench)?;
    let duration = Duration::from_secs(workbench.pick(20, 3));
    let settings = Settings { connections: CONNECTIONS, record_bytes: RECORD_BYTES, duration };
    let samples =
        alternate(&mut subjects, workbench.load_rounds(), "w3", |subject, name| run_once(subject, name, settings))?;
    report.paragraph(&format!(
        "Our own generator: {CONNECTIONS} connections, polled by {} threads, each with one request in flight and no pause; one record of \
         {RECORD_BYTES} bytes per request, {PARTITIONS} partitions, acks=all, not idempotent, {} s per run. Every answer's error code is \
         checked, and the number of answers is compared with the number of records in the log.",
        closed_loop::THREADS,
        duration.as_secs()
    ));
    report.comparison("Requests", &METRICS, &samples);
    report.settings(&subjects, workbench);
    Ok(())
}

fn run_once(subject: &Subject, name: &str, settings: Settings) -> Result<Vec<f64>> {
    let topic = subject.create_topic(name, PARTITIONS)?;
    let (outcome, usage) = usage::measure(subject.pid(), || closed_loop::run(&subject.endpoint, &topic, settings))?;
    topic.expect_record_count(&subject.endpoint, outcome.requests())?;
    topic.delete(&subject.endpoint)?;
    let requests = outcome.requests() as f64;
    let latency = &outcome.latency_us;
    Ok(vec![
        outcome.requests_per_second(),
        requests / usage.cpu_seconds,
        usage.cpu_seconds * 1e6 / requests,
        latency.percentile(50.0) as f64,
        latency.percentile(99.0) as f64,
        latency.percentile(99.9) as f64,
        latency.max() as f64,
        usage.cpu_seconds,
        usage.generator_cpu_seconds,
        usage.peak_rss_mib,
    ])
}
