//! What clients get of a cluster's rates over a minute, and how much later a neighbour's records come while another cluster of the same
//! broker pushes as much as it is let.
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use millstream_e2e::process::wait_until;
use millstream_e2e::rest::text_at;
use millstream_e2e::suites::quotas;
use serde_json::json;

use super::PARTITIONS;
use super::control_plane::installation::{Installation, Key};
use crate::connection::Endpoint;
use crate::load::{closed_loop, open_loop};
use crate::report::Report;
use crate::topic::Topic;
use crate::workbench::Workbench;

/// A steady trickle: what a neighbour that does not load the machine itself would notice.
const NEIGHBOUR: open_loop::Settings =
    open_loop::Settings { records_per_second: 1_000, record_bytes: 1_024, duration: Duration::ZERO };
/// Of a Basic cluster of one eCKU.
const INGRESS_BYTES_PER_SECOND: f64 = 5e6;
/// Each has one request in flight: together they offer many times what the cluster may take.
const PUSHERS: usize = 16;
const PUSHED_RECORD_BYTES: usize = 250_000;
const PUSHED_PARTITIONS: i32 = 6;
const PROVISIONED_LIMIT: Duration = Duration::from_secs(30);

pub fn run(workbench: &Workbench, report: &mut Report) -> Result<()> {
    clients(workbench, report)?;
    neighbour(workbench, report)
}

/// The test command's measurements, for longer.
fn clients(workbench: &Workbench, report: &mut Report) -> Result<()> {
    let window = Duration::from_secs(workbench.pick(60, 10));
    let context = &workbench.context;
    let before = context.log_size();
    let outcome = quotas::run_for(context, window)?;
    let log = context.log_since(before)?;
    report.paragraph(&format!(
        "The checks of `cargo xtask test --suite quotas`, each over {} s: {outcome}. Measured rate, limit and their ratio, then the check \
         that it belongs to.",
        window.as_secs()
    ));
    let lines =
        log.lines().filter(|line| line.starts_with("ok ") || line.starts_with("FAIL") || line.starts_with("     "));
    report.paragraph(&format!("```\n{}\n```", lines.collect::<Vec<_>>().join("\n")));
    Ok(())
}

/// Alternates a quiet and a loud run, so that the machine's own drift falls on both.
fn neighbour(workbench: &Workbench, report: &mut Report) -> Result<()> {
    let installation = Installation::start(None, "quotas", workbench)?;
    let mut settings = NEIGHBOUR;
    settings.duration = Duration::from_secs(workbench.pick(30, 5)) + open_loop::LEAD_IN;
    let pushing = installation.kafka(&pushing_key(&installation)?);
    let neighbour = installation.kafka(&key(&installation, installation.cluster())?);
    let pushed = Topic::create(&pushing, "pushed", PUSHED_PARTITIONS)?;
    let load = closed_loop::Settings {
        connections: PUSHERS,
        record_bytes: PUSHED_RECORD_BYTES,
        // It ends after the neighbour, whose every record thus counts.
        duration: settings.duration + Duration::from_secs(2),
    };
    let mut rows = Vec::new();
    for round in 0..workbench.pick(5, 1) {
        let quiet = p99_us(&neighbour, &format!("quiet-{round}"), settings)?;
        let (loud, share) = std::thread::scope(|scope| -> Result<(u64, f64)> {
            let push = scope.spawn(|| closed_loop::run(&pushing, &pushed, load));
            let loud = p99_us(&neighbour, &format!("loud-{round}"), settings)?;
            let pushed = push.join().map_err(|_| anyhow!("a load thread panicked"))??;
            let rate = pushed.requests_per_second() * PUSHED_RECORD_BYTES as f64;
            Ok((loud, rate / INGRESS_BYTES_PER_SECOND))
        })?;
        let shift = loud as f64 / quiet as f64 - 1.0;
        rows.push(vec![quiet.to_string(), loud.to_string(), format!("{:+.1} %", shift * 100.0), format!("{share:.3}")]);
    }
    report.paragraph(&format!(
        "A neighbour sends {} records of {} bytes per second to its cluster; its latency is as in w4. Another cluster of the same broker, \
         limited to 5 MB/s, is pushed by {PUSHERS} connections with a request of {PUSHED_RECORD_BYTES} bytes in flight each, which know of no \
         throttle time. {} s per run.",
        settings.records_per_second,
        settings.record_bytes,
        settings.duration.as_secs(),
    ));
    report.table("A neighbour's p99", &["quiet, µs", "beside the pusher, µs", "shift", "pushed / limit"], &rows);
    Ok(())
}

fn p99_us(endpoint: &Endpoint, name: &str, settings: open_loop::Settings) -> Result<u64> {
    let topic = Topic::create(endpoint, name, PARTITIONS)?;
    let outcome = open_loop::run(endpoint, &topic, settings)?;
    topic.expect_record_count(endpoint, outcome.records)?;
    topic.delete(endpoint)?;
    Ok(outcome.latency_us.percentile(99.0))
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
