//! W4: how old a record is when a consumer has it.
use std::time::Duration;

use anyhow::Result;

use super::PARTITIONS;
use crate::load::open_loop::{self, Settings};
use crate::report::{Metric, Report};
use crate::rounds::alternate;
use crate::subject::Subject;
use crate::usage;
use crate::workbench::Workbench;

const RECORD_BYTES: usize = 1024;
/// Records per second. The second is the reference workload's rate; with both clients on the same two cores it may be more than a system
/// can take, which the achieved rate then shows.
const RATES: [u64; 2] = [10_000, 50_000];
const METRICS: [Metric; 10] = [
    Metric::new("p50, µs", 0),
    Metric::at_most("p99, µs", 0, 0.5),
    Metric::new("p99.9, µs", 0),
    Metric::new("max, µs", 0),
    Metric::new("achieved records/s", 0),
    Metric::new("records per request", 1),
    Metric::new("broker CPU µs per record", 2),
    Metric::new("broker CPU-s", 2),
    Metric::new("generator CPU-s", 2),
    Metric::new("peak RSS, MiB", 0),
];

pub fn run(workbench: &Workbench, report: &mut Report) -> Result<()> {
    let mut subjects = Subject::start_all(workbench)?;
    let duration = Duration::from_secs(workbench.pick(20, 3)) + open_loop::LEAD_IN;
    report.paragraph(&format!(
        "Our own generator: records of {RECORD_BYTES} bytes are due at equal distances and sent in turn to {PARTITIONS} partitions. One producer \
         connection sends every {} ms what has become due (at most {} records per request, {} requests in flight, acks=all, not \
         idempotent); one consumer connection long-polls all partitions (Fetch {}, no session, at most {} ms). Latency is from the moment a \
         record was due to the moment the consumer had read the answer that holds it, so the producer's tick is part of it. {} s per run; the \
         first {} s are not counted. Each record carries its number: a lost, doubled or misplaced one fails the run.",
        open_loop::TICK.as_millis(),
        open_loop::MAX_RECORDS_PER_REQUEST,
        open_loop::MAX_IN_FLIGHT,
        open_loop::FETCH_VERSION,
        open_loop::FETCH_MAX_WAIT_MS,
        duration.as_secs(),
        open_loop::LEAD_IN.as_secs(),
    ));
    for records_per_second in workbench.pick(&RATES[..], &RATES[..1]) {
        let settings = Settings { records_per_second: *records_per_second, record_bytes: RECORD_BYTES, duration };
        let label = format!("w4-{records_per_second}");
        let samples = alternate(&mut subjects, workbench.load_rounds(), &label, |subject, name| {
            run_once(subject, name, settings)
        })?;
        report.comparison(&format!("{records_per_second} records per second"), &METRICS, &samples);
    }
    report.settings(&subjects, workbench);
    Ok(())
}

fn run_once(subject: &Subject, name: &str, settings: Settings) -> Result<Vec<f64>> {
    let topic = subject.create_topic(name, PARTITIONS)?;
    let (outcome, usage) = usage::measure(subject.pid(), || open_loop::run(&subject.endpoint, &topic, settings))?;
    topic.expect_record_count(&subject.endpoint, outcome.records)?;
    topic.delete(&subject.endpoint)?;
    let records = outcome.records as f64;
    let latency = &outcome.latency_us;
    Ok(vec![
        latency.percentile(50.0) as f64,
        latency.percentile(99.0) as f64,
        latency.percentile(99.9) as f64,
        latency.max() as f64,
        outcome.achieved_rate,
        records / outcome.requests as f64,
        usage.cpu_seconds * 1e6 / records,
        usage.cpu_seconds,
        usage.generator_cpu_seconds,
        usage.peak_rss_mib,
    ])
}
