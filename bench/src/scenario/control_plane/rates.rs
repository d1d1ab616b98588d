//! How many calls are answered: reads of four kinds of objects, and creates of service accounts; each caller has one call in flight.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use millstream_e2e::postgres::Postgres;
use millstream_e2e::rest::Rest;
use serde_json::json;

use super::installation::{Installation, Key};
use super::poll::micros_since;
use super::{Database, progress};
use crate::histogram::Histogram;
use crate::scenario::table::{Goal, Line};
use crate::usage;
use crate::workbench::Workbench;

/// Enough to keep two cores busy. More only wait for each other.
const CALLERS: usize = 16;
/// Each may send at most 2,000 requests per second.
const KEYS: usize = 4;
/// An organization may have 1,000 service accounts.
const CREATES: usize = 900;

pub fn measure(
    database: Database,
    installation: &Installation,
    postgres: Option<&Postgres>,
    workbench: &Workbench,
) -> Result<Vec<Line>> {
    let keys = installation.create_callers(KEYS)?;
    let duration = Duration::from_secs(workbench.pick(15, 2));
    progress(database, &format!("{CALLERS} callers read for {} s", duration.as_secs()));
    let mut lines = with_costs("reads", installation, postgres, || read(installation, &keys, duration))?;
    progress(database, &format!("{CALLERS} callers make service accounts"));
    lines.extend(with_costs("creates", installation, postgres, || {
        create(installation, &keys, workbench.pick(CREATES, 100))
    })?);
    Ok(lines)
}

/// Answered calls and how long they took.
struct Answered {
    times: Histogram,
    elapsed: Duration,
}

fn with_costs(
    name: &str,
    installation: &Installation,
    postgres: Option<&Postgres>,
    load: impl FnOnce() -> Result<Answered>,
) -> Result<Vec<Line>> {
    let cpu = || -> Result<(f64, f64)> {
        let database = postgres.map_or(Ok(0.0), |server| usage::family_cpu_seconds(server.pid()))?;
        Ok((usage::cpu_seconds(installation.pid())?, database))
    };
    let before = cpu()?;
    let Answered { times, elapsed } = load()?;
    let after = cpu()?;
    let count = times.total();
    let micros = |seconds: f64| format!("{:.0} µs", seconds * 1e6 / count as f64);
    let cost = |what: &str, seconds: f64| {
        Line::value(&format!("{name}: CPU of {what} per call"), micros(seconds), String::new())
    };
    let (rate_goal, time_goal) = match name {
        "reads" => (Goal::AtLeast(3000.0), Goal::P99Below(30.0)),
        _ => (Goal::AtLeast(150.0), Goal::None),
    };
    let mut lines = vec![
        Line::rate(name, count, count as f64 / elapsed.as_secs_f64(), rate_goal),
        Line::times(&format!("{name}: time of a call"), &times, time_goal),
        cost("`up`", after.0 - before.0),
    ];
    if postgres.is_some() {
        lines.push(cost("PostgreSQL", after.1 - before.1));
    }
    Ok(lines)
}

fn read(installation: &Installation, keys: &[Key], duration: Duration) -> Result<Answered> {
    let (environment, cluster) = (installation.environment(), installation.cluster());
    let paths = [
        format!("/org/v2/environments/{environment}"),
        format!("/cmk/v2/clusters/{cluster}?environment={environment}"),
        "/iam/v2/service-accounts?page_size=10".to_owned(),
        format!("/iam/v2/api-keys/{}", keys[0].id),
    ];
    in_parallel(installation, keys, |rest, caller, times| {
        let started = Instant::now();
        for path in paths.iter().cycle().skip(caller) {
            if started.elapsed() >= duration {
                break;
            }
            let asked = Instant::now();
            rest.call("GET", path, None)?;
            times.record(micros_since(asked));
        }
        Ok(())
    })
}

fn create(installation: &Installation, keys: &[Key], count: usize) -> Result<Answered> {
    let taken = AtomicUsize::new(0);
    in_parallel(installation, keys, |rest, _, times| {
        while taken.fetch_add(1, Ordering::Relaxed) < count {
            let body = json!({"display_name": installation.name("created"), "description": "by a benchmark"});
            let asked = Instant::now();
            rest.call("POST", "/iam/v2/service-accounts", Some(&body))?;
            times.record(micros_since(asked));
        }
        Ok(())
    })
}

fn in_parallel(
    installation: &Installation,
    keys: &[Key],
    call: impl Fn(&mut Rest, usize, &mut Histogram) -> Result<()> + Sync,
) -> Result<Answered> {
    let connections: Vec<_> =
        (0..CALLERS).map(|caller| installation.rest_with(&keys[caller % keys.len()])).collect::<Result<_>>()?;
    let started = Instant::now();
    let times = std::thread::scope(|scope| {
        let call = &call;
        let callers: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(caller, mut rest)| {
                scope.spawn(move || {
                    let mut times = Histogram::default();
                    call(&mut rest, caller, &mut times).map(|()| times)
                })
            })
            .collect();
        let mut all = Histogram::default();
        for caller in callers {
            all.add(&caller.join().map_err(|_| anyhow!("a calling thread panicked"))??);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    Ok(Answered { times, elapsed: started.elapsed() })
}
