//! Apache Kafka's own `ProducerPerformance`, as it comes from Maven Central.
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use millstream_e2e::kafka::tool_with;
use millstream_e2e::process::run_checked;

use crate::subject::Subject;
use crate::topic::Topic;
use crate::workbench::Workbench;

const LIMIT: Duration = Duration::from_secs(900);
pub const JVM_OPTIONS: &[&str] = &["-Xmx1g", "-XX:+UseParallelGC"];

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub records: u64,
    pub record_bytes: u64,
    /// `name=value` of the producer.
    pub properties: &'static [&'static str],
}

impl Settings {
    pub fn gib(&self) -> f64 {
        (self.records * self.record_bytes) as f64 / f64::from(1 << 30)
    }
}

/// What the program printed in its last line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    pub records: u64,
    pub records_per_second: f64,
    pub mib_per_second: f64,
    pub p99_ms: f64,
}

pub fn run(workbench: &Workbench, subject: &Subject, topic: &Topic, settings: &Settings) -> Result<Outcome> {
    let log = workbench.logs.join(format!("producer-performance-{}.log", topic.name));
    // The log is appended to; an earlier run's last line must not be taken for this one's.
    let _ = std::fs::remove_file(&log);
    let log4j = workbench.context.e2e_dir("kafka").join("log4j2.xml");
    let mut command = tool_with(&workbench.jars, &log4j, JVM_OPTIONS, "org.apache.kafka.tools.ProducerPerformance");
    command.arg("--command-config").arg(&subject.client_properties).args([
        "--topic",
        &topic.name,
        "--throughput",
        "-1",
    ]);
    command.args(["--num-records", &settings.records.to_string(), "--record-size", &settings.record_bytes.to_string()]);
    command.args(["--reporting-interval", "600000", "--command-property"]).args(settings.properties);
    run_checked("ProducerPerformance", &mut command, &log, LIMIT).with_context(|| tail(&log))?;
    let text = std::fs::read_to_string(&log)?;
    let outcome = text.lines().rev().find_map(parse).with_context(|| tail(&log))?;
    ensure!(
        outcome.records == settings.records,
        "{} of {} records were acknowledged",
        outcome.records,
        settings.records
    );
    Ok(outcome)
}

/// `2000000 records sent, 190000.0 records/sec (185.5 MB/sec), 12.3 ms avg latency, 200.0 ms max latency, 1 ms 50th, 5 ms 95th, 10 ms 99th, …`
fn parse(line: &str) -> Option<Outcome> {
    let number_before = |unit: &str| {
        let (before, _) = line.split_once(unit)?;
        before.rsplit([' ', '(']).next()?.parse::<f64>().ok()
    };
    Some(Outcome {
        records: line.split_once(" records sent")?.0.parse().ok()?,
        records_per_second: number_before(" records/sec")?,
        mib_per_second: number_before(" MB/sec")?,
        p99_ms: number_before(" ms 99th")?,
    })
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(5).collect();
    format!("ProducerPerformance ended with: {}", lines.into_iter().rev().collect::<Vec<_>>().join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_is_read() {
        let line = "300000 records sent, 101522.8 records/sec (99.14 MB/sec), 255.16 ms avg latency, 640.00 ms max latency, 245 ms 50th, \
                    511 ms 95th, 596 ms 99th, 630 ms 99.9th.";
        let expected =
            Outcome { records: 300_000, records_per_second: 101_522.8, mib_per_second: 99.14, p99_ms: 596.0 };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("300000 records sent, nothing else"), None);
        assert_eq!(parse("[2026-01-01] WARN something"), None);
    }
}
