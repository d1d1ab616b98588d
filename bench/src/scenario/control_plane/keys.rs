//! Keys while changes run: from the POST to the first log-in, from the DELETE to the refusal and to the end of a live connection.
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use millstream_e2e::rest::Rest;

use super::changes::{self, PER_SECOND};
use super::installation::Installation;
use super::poll::{micros_since, micros_until};
use super::{Database, progress};
use crate::connection::Connection;
use crate::histogram::Histogram;
use crate::scenario::table::{Goal, Line};
use crate::workbench::Workbench;

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
    let mut live = None;
    let let_in = micros_until(started, || {
        live = Connection::try_log_in(&endpoint)?;
        Ok(live.is_some())
    });
    times.let_in.record(let_in.context("until the new key is let in")?);
    let live = live.context("a key was let in without a connection")?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| live.wait_until_closed().map(|()| micros_since(started)));
        // A connection that is cut in the middle of the log-in was let in just before; the next try tells.
        let is_refused = || Ok(matches!(Connection::try_log_in(&endpoint), Ok(None)));
        let refusing = scope.spawn(move || micros_until(started, is_refused));
        rest.call("DELETE", &format!("/iam/v2/api-keys/{}", key.id), None)?;
        let panicked = |_| anyhow!("a measuring thread panicked");
        times.refused.record(refusing.join().map_err(panicked)?.context("until the deleted key is refused")?);
        times.closed.record(closing.join().map_err(panicked)??);
        Ok(())
    })
}
