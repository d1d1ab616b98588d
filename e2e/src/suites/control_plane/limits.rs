//! Limits under parallel creates at several replicas.
use std::sync::Barrier;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::site::{REPLICAS, Site};
use crate::rest::text_at;

const CALLERS: usize = 200;
const QUOTA: &str = "iam.max_environments.per_org";
const PATH: &str = "/org/v2/environments";

pub fn parallel_creates(site: &mut Site) -> Result<()> {
    let (limit, usage) = site.quota(QUOTA)?;
    let expected = usize::try_from(limit - usage)?;
    let (caller, start) = (site.caller(), Barrier::new(CALLERS));
    let answers = std::thread::scope(|scope| {
        let attempts: Vec<_> = (0..CALLERS)
            .map(|number| {
                let (caller, start, name) = (&caller, &start, site.name("environment"));
                scope.spawn(move || {
                    let rest = caller.at(number);
                    // Whoever could not connect must not keep the others waiting.
                    start.wait();
                    rest?.ask("POST", PATH, Some(&json!({"display_name": name})))
                })
            })
            .collect();
        attempts
            .into_iter()
            .map(|attempt| attempt.join().map_err(|_| anyhow!("a caller panicked"))?)
            .collect::<Result<Vec<_>>>()
    })?;
    let made: Vec<_> = answers.iter().filter(|(status, _)| *status == 201).collect();
    let refused = answers.iter().filter(|(status, body)| *status == 402 && is_exceeded(body)).count();
    ensure!(made.len() == expected, "{} were made where {expected} had room", made.len());
    ensure!(refused == CALLERS - expected, "{refused} of {} were told of the quota", CALLERS - expected);
    ensure!(site.quota(QUOTA)? == (limit, limit), "the counter says {:?}", site.quota(QUOTA)?);
    for replica in 0..REPLICAS {
        let listed = caller.at(replica)?.call("GET", &format!("{PATH}?page_size=100"), None)?;
        let count = listed.get("data").and_then(Value::as_array).context("a list")?.len();
        ensure!(count as u64 == limit, "replica {replica} lists {count} environments");
    }
    let mut rest = caller.at(0)?;
    for (_, body) in made {
        rest.call("DELETE", &format!("{PATH}/{}", text_at(body, "/id")?), None)?;
    }
    ensure!(site.quota(QUOTA)? == (limit, usage), "deleting gave no room back");
    Ok(())
}

fn is_exceeded(body: &Value) -> bool {
    body.pointer("/errors/0/code").and_then(Value::as_str) == Some("quota_exceeded")
}
