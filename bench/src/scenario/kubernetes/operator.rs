//! What the operator costs with fifty physical clusters that need nothing.
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::client::{Client, until};
use super::progress;
use crate::scenario::table::{Line, verdict};
use crate::usage;
use crate::workbench::Workbench;

const RESOURCES: usize = 50;
const MOST: usize = 200;
const QUOTAS: &[&str] = &[
    "kafka.max_kafka_creation.per_day",
    "kafka.max_kafka_clusters.per_env",
    "kafka.max_pending_kafka_clusters.per_env",
    "kafka.max_ckus.per_env",
];
const MOST_RSS_MIB: f64 = 64.0;
const MOST_CORES: f64 = 0.02;
/// Fifty pods on two cores.
const READY_LIMIT: Duration = Duration::from_secs(900);
/// Pods that have just become ready still cause events.
const SETTLE: Duration = Duration::from_secs(60);
const WATCH: Duration = Duration::from_secs(120);

pub fn measure(client: &Client<'_>, workbench: &Workbench) -> Result<Vec<Line>> {
    let count = workbench.pick(RESOURCES, 3);
    let pods = workers()?;
    let first = costs(&pods, workbench)?;
    progress(&format!("{count} KafkaClusters"));
    make_resources(client, count)?;
    std::thread::sleep(workbench.pick(SETTLE, Duration::ZERO));
    let more = costs(&pods, workbench)?;
    let mut lines = Vec::new();
    for (resources, costs) in [(1, first), (count + 1, more)] {
        let named = |what: &str| {
            format!("{what} of the busier of {} operators, idle with {resources} KafkaClusters", pods.len())
        };
        let rss = format!("≤ {MOST_RSS_MIB:.0} MiB {}", verdict(costs.rss_mib <= MOST_RSS_MIB));
        lines.push(Line::value(&named("RSS"), format!("{:.1} MiB", costs.rss_mib), rss));
        let cores = format!("≤ {MOST_CORES} {}", verdict(costs.cores <= MOST_CORES));
        lines.push(Line::value(&named("cores"), format!("{:.4}", costs.cores), cores));
    }
    Ok(lines)
}

struct Costs {
    rss_mib: f64,
    cores: f64,
}

/// Of the process that costs the most.
fn costs(pids: &[u32], workbench: &Workbench) -> Result<Costs> {
    let watch = workbench.pick(WATCH, Duration::from_secs(5));
    let before = pids.iter().map(|pid| usage::cpu_seconds(*pid)).collect::<Result<Vec<_>>>()?;
    std::thread::sleep(watch);
    let mut costs = Costs { rss_mib: 0.0, cores: 0.0 };
    for (pid, before) in pids.iter().zip(before) {
        costs.rss_mib = costs.rss_mib.max(usage::rss_mib(*pid)?);
        costs.cores = costs.cores.max((usage::cpu_seconds(*pid)? - before) / watch.as_secs_f64());
    }
    Ok(costs)
}

/// The processes of operators, which this machine sees from outside of their pods.
fn workers() -> Result<Vec<u32>> {
    let processes = std::fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_operator = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"/millstream\0operator\0"))
    };
    let found: Vec<u32> = processes.filter(is_operator).collect();
    ensure!(!found.is_empty(), "no operator runs");
    Ok(found)
}

/// Dedicated clusters, one for each of the resources to come.
fn make_resources(client: &Client<'_>, count: usize) -> Result<()> {
    client.raise_quotas(QUOTAS, MOST)?;
    for index in 1..=count {
        client.ask_for_dedicated(&format!("idle-{index}"))?;
    }
    let started = Instant::now();
    until(started, || {
        let names = client.release.kubectl("get kafkaclusters --output=name")?;
        ensure!(names.lines().count() == count + 1, "there are {names}");
        Ok(())
    })?;
    let ready = format!("wait kafkaclusters --all --for=condition=Ready --timeout={}s", READY_LIMIT.as_secs());
    client.release.kubectl(&ready).map(drop)
}
