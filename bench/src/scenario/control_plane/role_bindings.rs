//! Role bindings while changes run: from the POST until a broker answers the account, from the DELETE until it refuses.
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::changes::{self, PER_SECOND};
use super::installation::{Installation, Key};
use super::keys::micros_since;
use super::{Database, Goal, Line, progress};
use crate::histogram::Histogram;
use crate::rest::Rest;
use crate::topic::Topic;
use crate::workbench::Workbench;

const LIMIT: Duration = Duration::from_secs(30);
const TOPIC: &str = "guarded";

pub fn measure(database: Database, installation: &Installation, workbench: &Workbench) -> Result<Vec<Line>> {
    let count = workbench.pick(400, 20);
    progress(database, &format!("{count} role bindings are made and deleted while {PER_SECOND} changes/s run"));
    let mut rest = installation.rest()?;
    let account = installation.create_account(&mut rest)?;
    let key = installation.create_key(&mut rest, &account, Some(installation.cluster()))?;
    Topic::create(&installation.first_kafka(), TOPIC, 1)?;
    let mut guarded = Guarded::open(installation, &key)?;
    ensure!(!guarded.is_allowed()?, "an account without a role may read a topic");
    let (times, _) = changes::during(installation, || {
        let (mut effective, mut revoked) = (Histogram::default(), Histogram::default());
        for index in 0..count {
            let started = Instant::now();
            let crn = installation.cluster_crn(installation.cluster());
            let binding = installation.bind(&mut rest, &account, "CloudClusterAdmin", &crn)?;
            guarded.wait_until(true, started).with_context(|| format!("binding {index}"))?;
            effective.record(micros_since(started));
            let started = Instant::now();
            rest.call("DELETE", &format!("/iam/v2/role-bindings/{binding}"), None)?;
            guarded.wait_until(false, started).with_context(|| format!("deletion of binding {index}"))?;
            revoked.record(micros_since(started));
        }
        Ok((effective, revoked))
    })?;
    let goal = Goal::P99Below(1000.0);
    Ok(vec![
        Line::times("role binding: POST to the first allowed request, under changes", &times.0, goal),
        Line::times("role binding: DELETE to the first refused request, under changes", &times.1, goal),
    ])
}

/// A topic that the account may read or not.
struct Guarded {
    rest: Rest,
    path: String,
}

impl Guarded {
    fn open(installation: &Installation, key: &Key) -> Result<Self> {
        let path = format!("/kafka/v3/clusters/{}/topics/{TOPIC}", installation.cluster());
        Ok(Self { rest: installation.rest_with(key)?, path })
    }

    fn is_allowed(&mut self) -> Result<bool> {
        match self.rest.ask("GET", &self.path, None)? {
            (200, _) => Ok(true),
            (403 | 404, _) => Ok(false),
            (status, body) => bail!("GET {} answered {status}: {body}", self.path),
        }
    }

    fn wait_until(&mut self, allowed: bool, started: Instant) -> Result<()> {
        while self.is_allowed()? != allowed {
            ensure!(started.elapsed() < LIMIT, "not within {} s", LIMIT.as_secs());
        }
        Ok(())
    }
}
