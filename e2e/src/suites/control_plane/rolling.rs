//! A new version is rolled out: replicas are stopped and started one after another while callers, which repeat what failed, make
//! service accounts and keys.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Result, anyhow, ensure};
use serde_json::json;

use super::site::{Caller, DATABASE, Key, Site};
use crate::rest::text_at;

const CALLERS: usize = 4;
/// Replicas are restarted so many times, and more often until enough was made meanwhile.
const ROLLOUTS: std::ops::RangeInclusive<usize> = 2..=20;
const AT_LEAST: usize = 40;
/// An organization may have 1,000 of each.
const AT_MOST_EACH: usize = 200;

/// What a caller was answered.
struct Made {
    name: String,
    account: String,
    key: Key,
}

/// What the callers and the rollout tell each other.
#[derive(Default)]
struct Progress {
    made: AtomicUsize,
    is_rolled_out: AtomicBool,
}

pub fn restarts_under_load(site: &mut Site) -> Result<()> {
    let (caller, progress) = (site.caller(), Progress::default());
    let prefixes: Vec<_> = (0..CALLERS).map(|_| site.name("rolling")).collect();
    let made = std::thread::scope(|scope| {
        let callers: Vec<_> =
            prefixes.iter().map(|prefix| scope.spawn(|| make_meanwhile(&caller, prefix, &progress))).collect();
        let rolled_out = roll_out(site, &progress);
        progress.is_rolled_out.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for caller in callers {
            all.extend(caller.join().map_err(|_| anyhow!("a caller panicked"))??);
        }
        rolled_out.map(|()| all)
    })?;
    ensure!(made.len() >= AT_LEAST, "only {} were made", made.len());
    for table in ["service_accounts", "api_keys"] {
        let query = format!("SELECT count(*) FROM {table} WHERE display_name LIKE 'rolling-%'");
        let count = site.postgres.query(DATABASE, &query)?;
        ensure!(count == made.len().to_string(), "{count} {table} for {} that were answered", made.len());
    }
    let mut rest = caller.at(0)?;
    for Made { name, account, key } in made {
        let read = rest.call("GET", &format!("/iam/v2/service-accounts/{account}"), None)?;
        ensure!(text_at(&read, "/display_name")? == name, "{account} is {read}, not {name}");
        let (status, body) = caller.with_key(key.clone()).at(1)?.ask("GET", "/org/v2/environments", None)?;
        ensure!(status == 200, "the key of {name} got {status}: {body}");
        rest.call("DELETE", &format!("/iam/v2/api-keys/{}", key.id), None)?;
        rest.call("DELETE", &format!("/iam/v2/service-accounts/{account}"), None)?;
    }
    site.wait_for_broker()
}

fn roll_out(site: &mut Site, progress: &Progress) -> Result<()> {
    for rollout in 1..=*ROLLOUTS.end() {
        for replica in &mut site.replicas {
            replica.stop()?;
            replica.start_again()?;
        }
        let is_enough = progress.made.load(Ordering::Relaxed) >= AT_LEAST;
        if is_enough && rollout >= *ROLLOUTS.start() {
            break;
        }
    }
    Ok(())
}

fn make_meanwhile(caller: &Caller, prefix: &str, progress: &Progress) -> Result<Vec<Made>> {
    let (mut made, mut connection) = (Vec::new(), None);
    while !progress.is_rolled_out.load(Ordering::Relaxed) && made.len() < AT_MOST_EACH {
        let name = format!("{prefix}-{}", made.len());
        // Unique by its name: no Idempotency-Key is needed. Keys have no unique name.
        let body = json!({"display_name": name, "description": ""});
        let answer = caller.insist(&mut connection, &[], "/iam/v2/service-accounts", &body)?;
        ensure!(answer.status == 201, "{name}: {answer:?}");
        let account = text_at(&answer.body, "/id")?;
        let body = json!({"spec": {"display_name": name, "owner": {"id": account}}});
        let answer = caller.insist(&mut connection, &[("Idempotency-Key", &name)], "/iam/v2/api-keys", &body)?;
        ensure!(answer.status == 202, "the key of {name} got {}", answer.status);
        made.push(Made { name, account, key: Key::from_answer(&answer.body)? });
        progress.made.fetch_add(1, Ordering::Relaxed);
    }
    Ok(made)
}
