//! Keys: how long after a REST call the broker lets a new API key in, and how long it still honours a deleted one. Millstream only.
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use millstream_e2e::rest::{Rest, text_at};
use millstream_e2e::server::RestAccess;
use serde_json::json;

use crate::connection::{Connection, Credentials, Endpoint};
use crate::histogram::Histogram;
use crate::report::Report;
use crate::subject::{Subject, System};
use crate::workbench::Workbench;

const LIMIT: Duration = Duration::from_secs(30);
const TARGET_US: u64 = 1_000_000;
const PROGRESS_EVERY: usize = 250;
/// Keys that exist at the same time: a Basic cluster may have 50.
const KEYS_AT_ONCE: usize = 40;

/// All in microseconds, from just before the request was sent.
#[derive(Debug, Default)]
struct Times {
    created: Histogram,
    let_in: Histogram,
    deleted: Histogram,
    refused: Histogram,
    closed: Histogram,
}

/// A key that exists.
struct Key {
    id: String,
    endpoint: Endpoint,
}

pub fn run(workbench: &Workbench, report: &mut Report) -> Result<()> {
    if !workbench.systems.contains(&System::Millstream) {
        report.paragraph("Apache Kafka has no API keys.");
        return Ok(());
    }
    let subject = Subject::start(System::Millstream, workbench)?;
    let access = subject.server.access().rest.clone().context("the server has no REST API")?;
    let mut rest = Rest::connect(&access.url, &access.cloud_api_key, &access.cloud_api_secret)?;
    let own_key = rest.call("GET", &format!("/iam/v2/api-keys/{}", subject.server.access().api_key), None)?;
    let owner = text_at(&own_key, "/spec/owner/id")?;
    let count = workbench.pick(1000, 50);
    let mut times = Times::default();
    let mut done = 0;
    while done < count {
        let batch = KEYS_AT_ONCE.min(count - done);
        let mut keys = Vec::with_capacity(batch);
        for index in done + 1..=done + batch {
            keys.push(
                create_key(&mut rest, &access, &owner, &subject.endpoint.address, &mut times)
                    .with_context(|| format!("key {index}"))?,
            );
            report_progress(index, count, "created");
        }
        for (index, key) in (done + 1..).zip(&keys) {
            delete_key(&mut rest, key, &mut times).with_context(|| format!("deletion of key {index}"))?;
            report_progress(index, count, "deleted");
        }
        done += batch;
    }
    report.paragraph(&format!(
        "{count} Kafka API keys of one service account are created one after another through the REST API, then deleted one after another, in batches of {KEYS_AT_ONCE}, \
         as a Basic cluster may have 50. Times are from just before the request is sent. A new key is tried without a pause until SASL/PLAIN succeeds. A \
         deleted key is tried without a pause until it is refused (which is answered 100 ms late on purpose), while another connection that it had opened before waits to be closed."
    ));
    report.table("API keys, milliseconds", &["", "p50", "p99", "max", "Target for p99"], &rows(&times));
    report.settings(&[subject], workbench);
    Ok(())
}

fn create_key(rest: &mut Rest, access: &RestAccess, owner: &str, address: &str, times: &mut Times) -> Result<Key> {
    let body = json!({"spec": {
        "display_name": "bench",
        "owner": {"id": owner},
        "resource": {"id": access.cluster_id, "environment": access.environment_id},
    }});
    let started = Instant::now();
    let made = rest.call("POST", "/iam/v2/api-keys", Some(&body))?;
    times.created.record(micros_since(started));
    let id = text_at(&made, "/id")?;
    let credentials = Credentials { key: id.clone(), secret: text_at(&made, "/spec/secret")? };
    let endpoint = Endpoint { address: address.to_owned(), credentials: Some(credentials) };
    while Connection::try_log_in(&endpoint)?.is_none() {
        ensure!(started.elapsed() < LIMIT, "the new key is still refused after {} s", LIMIT.as_secs());
    }
    times.let_in.record(micros_since(started));
    Ok(Key { id, endpoint })
}

fn delete_key(rest: &mut Rest, key: &Key, times: &mut Times) -> Result<()> {
    let live = Connection::open(&key.endpoint)?;
    let started = Instant::now();
    let (deleted, refused, closed) = std::thread::scope(|scope| {
        let closing = scope.spawn(|| live.wait_until_closed().map(|()| micros_since(started)));
        let refusing = scope.spawn(|| try_until_refused(&key.endpoint, started));
        let deleted = rest.call("DELETE", &format!("/iam/v2/api-keys/{}", key.id), None).map(|_| micros_since(started));
        let panicked = |_| anyhow!("a measuring thread panicked");
        let refused = refusing.join().map_err(panicked)?.context("refusal")?;
        let closed = closing.join().map_err(panicked)?.context("closing of the live connection")?;
        Ok::<_, anyhow::Error>((deleted?, refused, closed))
    })?;
    times.deleted.record(deleted);
    times.refused.record(refused);
    times.closed.record(closed);
    Ok(())
}

fn try_until_refused(endpoint: &Endpoint, started: Instant) -> Result<u64> {
    loop {
        // A connection that is cut in the middle of the log-in was let in just before; the next attempt tells.
        if let Ok(None) = Connection::try_log_in(endpoint) {
            return Ok(micros_since(started));
        }
        if started.elapsed() > LIMIT {
            bail!("the deleted key is still let in after {} s", LIMIT.as_secs());
        }
    }
}

fn rows(times: &Times) -> Vec<Vec<String>> {
    let milliseconds = |micros: u64| format!("{:.2}", micros as f64 / 1000.0);
    let row = |name: &str, histogram: &Histogram, has_target: bool| {
        let p99 = histogram.percentile(99.0);
        let target = match (has_target, p99 < TARGET_US) {
            (false, _) => String::new(),
            (true, true) => "< 1000 reached".to_owned(),
            (true, false) => "< 1000 **missed**".to_owned(),
        };
        vec![
            name.to_owned(),
            milliseconds(histogram.percentile(50.0)),
            milliseconds(p99),
            milliseconds(histogram.max()),
            target,
        ]
    };
    vec![
        row("POST answered", &times.created, false),
        row("create to first successful log-in", &times.let_in, true),
        row("DELETE answered", &times.deleted, false),
        row("delete to refused log-in", &times.refused, true),
        row("delete to live connection closed", &times.closed, true),
    ]
}

fn micros_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn report_progress(index: usize, count: usize, done: &str) {
    if index.is_multiple_of(PROGRESS_EVERY) || index == count {
        eprintln!("  keys: {index} of {count} {done}");
    }
}
