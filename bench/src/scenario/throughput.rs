//! W1 and W2: as much as Apache Kafka's own load program can send.
use anyhow::Result;

use super::PARTITIONS;
use crate::load::producer_performance::{self, Settings};
use crate::report::{Metric, Report};
use crate::rounds::alternate;
use crate::subject::Subject;
use crate::usage;
use crate::workbench::Workbench;

const LARGE_BATCHES: &[&str] = &["acks=all", "batch.size=1000000", "linger.ms=10", "buffer.memory=134217728"];
const MEDIUM_BATCHES: &[&str] = &["acks=all", "batch.size=65536", "linger.ms=5"];
const DEFAULT_BATCHES: &[&str] = &["acks=all", "linger.ms=5"];

const W1_METRICS: [Metric; 6] = [
    Metric::at_least("MiB/s", 1, 1.0),
    Metric::at_most("broker CPU-s per GiB", 2, 1.0 / 3.0),
    Metric::at_most("peak RSS, MiB", 0, 0.1),
    Metric::new("broker CPU-s", 2),
    Metric::new("client CPU-s", 1),
    Metric::new("p99 as the client sees it, ms", 0),
];
const W2_METRICS: [Metric; 6] = [
    Metric::new("records/s", 0),
    Metric::at_least("records per broker CPU-s", 0, 2.0),
    Metric::new("peak RSS, MiB", 0),
    Metric::new("broker CPU-s", 2),
    Metric::new("client CPU-s", 1),
    Metric::new("p99 as the client sees it, ms", 0),
];

pub fn run_large_batches(workbench: &Workbench, report: &mut Report) -> Result<()> {
    let mut subjects = Subject::start_all(workbench)?;
    let records = workbench.pick(2_000_000, 300_000);
    describe(report);
    for (label, title, properties) in
        [("w1-1m", "Batches of 1 MB", LARGE_BATCHES), ("w1-64k", "Batches of 64 KiB", MEDIUM_BATCHES)]
    {
        let settings = Settings { records, record_bytes: 1024, properties };
        let samples = alternate(&mut subjects, workbench.load_rounds(), label, |subject, name| {
            let (outcome, usage) = load(workbench, subject, name, &settings)?;
            let per_gib = usage.cpu_seconds / settings.gib();
            Ok(vec![
                outcome.mib_per_second,
                per_gib,
                usage.peak_rss_mib,
                usage.cpu_seconds,
                usage.generator_cpu_seconds,
                outcome.p99_ms,
            ])
        })?;
        report.comparison(&title_with(title, &settings), &W1_METRICS, &samples);
    }
    report.settings(&subjects, workbench);
    Ok(())
}

pub fn run_small_records(workbench: &Workbench, report: &mut Report) -> Result<()> {
    let mut subjects = Subject::start_all(workbench)?;
    let settings =
        Settings { records: workbench.pick(5_000_000, 500_000), record_bytes: 100, properties: DEFAULT_BATCHES };
    describe(report);
    let samples = alternate(&mut subjects, workbench.load_rounds(), "w2", |subject, name| {
        let (outcome, usage) = load(workbench, subject, name, &settings)?;
        let per_cpu_second = settings.records as f64 / usage.cpu_seconds;
        Ok(vec![
            outcome.records_per_second,
            per_cpu_second,
            usage.peak_rss_mib,
            usage.cpu_seconds,
            usage.generator_cpu_seconds,
            outcome.p99_ms,
        ])
    })?;
    report.comparison(&title_with("Small records", &settings), &W2_METRICS, &samples);
    report.settings(&subjects, workbench);
    Ok(())
}

/// One run on a topic of its own.
fn load(
    workbench: &Workbench,
    subject: &Subject,
    name: &str,
    settings: &Settings,
) -> Result<(producer_performance::Outcome, usage::Usage)> {
    let topic = subject.create_topic(name, PARTITIONS)?;
    let (outcome, usage) =
        usage::measure(subject.pid(), || producer_performance::run(workbench, subject, &topic, settings))?;
    topic.expect_record_count(&subject.endpoint, settings.records)?;
    topic.delete(&subject.endpoint)?;
    Ok((outcome, usage))
}

fn title_with(title: &str, settings: &Settings) -> String {
    format!(
        "{title}: {} records of {} bytes, {}",
        settings.records,
        settings.record_bytes,
        settings.properties.join(" ")
    )
}

fn describe(report: &mut Report) {
    report.paragraph(&format!(
        "ProducerPerformance of Apache Kafka (JVM options {}), {PARTITIONS} partitions, one replica, no compression, idempotent as is the \
         default. MiB/s is what the program prints as MB/sec. Every run has a new topic, deleted afterwards; the number of records in the log is \
         compared with the number acknowledged. Peak RSS is that of the run. The client's CPU includes the start of its JVM.",
        producer_performance::JVM_OPTIONS.join(" ")
    ));
}
