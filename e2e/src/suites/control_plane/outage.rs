//! PostgreSQL stops for a while.
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::site::{DATABASE, LIMIT, REPLICAS, Site};
use crate::process::wait_until;
use crate::wire::{API_VERSIONS, Wire};

const PATH: &str = "/org/v2/environments";
/// Connections that a replica holds at most: its pool, and one that listens.
const CONNECTIONS_PER_REPLICA: u64 = 17;

pub fn database_away(site: &mut Site) -> Result<()> {
    let (account, caller) = (site.create_account()?, site.caller());
    let key = site.create_kafka_key(&mut caller.at(1)?, &account)?;
    let mut live = Wire::log_in(&site.kafka(&key))?;
    let name = site.name("environment");
    let sessions_before = sessions(site)?;
    site.postgres.stop()?;
    for replica in 0..REPLICAS {
        let mut rest = caller.at(replica)?;
        for (method, body) in [("POST", Some(json!({"display_name": name}))), ("GET", None)] {
            let answer = rest.send(method, PATH, &[], body.as_ref())?;
            ensure!(answer.status == 503, "replica {replica}: {method} got {}: {}", answer.status, answer.body);
            let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
            ensure!(seconds.is_some_and(|seconds| seconds > 0), "replica {replica}: no Retry-After: {answer:?}");
        }
    }
    ensure!(site.is_let_in(&key)?, "the broker refuses a key without the database");
    live.call(API_VERSIONS, 0, &[]).context("a connection that was open")?;
    site.postgres.start_again()?;
    for replica in 0..REPLICAS {
        let mut rest = caller.at(replica)?;
        let is_back = wait_until(LIMIT, || rest.ask("GET", PATH, None).is_ok_and(|(status, _)| status == 200));
        ensure!(is_back, "replica {replica} does not answer again");
        let listed = rest.call("GET", &format!("{PATH}?page_size=100"), None)?;
        ensure!(!listed.to_string().contains(&name), "what was answered with 503 was stored");
        let later = site.create_kafka_key(&mut rest, &account)?;
        ensure!(site.is_let_in(&later)?, "a key made after the outage is refused");
        rest.call("DELETE", &format!("/iam/v2/api-keys/{}", later.id), None)?;
    }
    live.call(API_VERSIONS, 0, &[]).context("a connection that was open, after the outage")?;
    let opened = sessions(site)? - sessions_before;
    // Our own questions are sessions as well.
    let allowed = CONNECTIONS_PER_REPLICA * REPLICAS as u64 + 2;
    ensure!(opened <= allowed, "{opened} sessions were opened after the outage, more than {allowed}");
    Ok(())
}

/// Sessions that were ever opened.
fn sessions(site: &Site) -> Result<u64> {
    let query = format!("SELECT sessions FROM pg_stat_database WHERE datname = '{DATABASE}'");
    Ok(site.postgres.query(DATABASE, &query)?.parse()?)
}
