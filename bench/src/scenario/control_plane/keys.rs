//! Keys while changes run: from the POST to the first log-in, from the DELETE to the refusal and to the end of a live connection.
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::changes::{self, PER_SECOND};
use super::installation::Installation;
use super::{Database, Goal, Line, progress};
use crate::connection::{Connection, Endpoint};
use crate::histogram::Histogram;
use crate::rest::Rest;
use crate::workbench::Workbench;

const LIMIT: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Times {
    let_in: Histogram,
    refused: Histogram,
    closed: Histogram,
}

pub fn measure(database: Database, installation: &Installation, workbench: &Workbench) -> Result<Vec<Line>> {
    let count = workbench.pick(400, 20);
    progress(database, &format!("{count} keys are made and deleted while {PER_SECOND} changes/s run"));
    let mut rest = installation.rest()?;
    let owner = installation.create_account(&mut rest)?;
    let (times, made) = changes::during(installation, || {
        let mut times = Times::default();
        for index in 0..count {
            one(installation, &mut rest, &owner, &mut times).with_context(|| format!("key {index}"))?;
        }
        Ok(times)
    })?;
    let goal = Goal::P99Below(1000.0);
    Ok(vec![
        Line::times("key: POST to the first log-in, under changes", &times.let_in, goal),
        Line::times("key: DELETE to the refused log-in, under changes", &times.refused, goal),
        Line::times("key: DELETE to the end of a live connection, under changes", &times.closed, goal),
        Line::rate("changes meanwhile", made.changes, made.per_second, Goal::AtLeast(0.95 * f64::from(PER_SECOND))),
    ])
}

fn one(installation: &Installation, rest: &mut Rest, owner: &str, times: &mut Times) -> Result<()> {
    let started = Instant::now();
    let key = installation.create_key(rest, owner, Some(installation.cluster()))?;
    let endpoint = installation.kafka(&key);
    let live = loop {
        if let Some(connection) = Connection::try_log_in(&endpoint)? {
            break connection;
        }
        ensure!(started.elapsed() < LIMIT, "the new key is still refused after {} s", LIMIT.as_secs());
    };
    times.let_in.record(micros_since(started));
    let started = Instant::now();
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| live.wait_until_closed().map(|()| micros_since(started)));
        let refusing = scope.spawn(|| until_refused(&endpoint, started));
        rest.call("DELETE", &format!("/iam/v2/api-keys/{}", key.id), None)?;
        let panicked = |_| anyhow!("a measuring thread panicked");
        times.refused.record(refusing.join().map_err(panicked)??);
        times.closed.record(closing.join().map_err(panicked)??);
        Ok(())
    })
}

fn until_refused(endpoint: &Endpoint, started: Instant) -> Result<u64> {
    loop {
        // A connection that is cut in the middle of the log-in was let in just before; the next attempt tells.
        if let Ok(None) = Connection::try_log_in(endpoint) {
            return Ok(micros_since(started));
        }
        ensure!(started.elapsed() < LIMIT, "the deleted key is still let in after {} s", LIMIT.as_secs());
    }
}

pub fn micros_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}
