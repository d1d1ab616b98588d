//! `kill -9` of a replica after the database has committed and before the caller is answered. The caller sends the same again, to
//! another replica: with an `Idempotency-Key`, and without one.
use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::site::{DATABASE, Key, LIMIT, Site};
use crate::process::wait_until;
use crate::rest::text_at;

/// What is made.
struct Object {
    path: &'static str,
    table: &'static str,
    quota: &'static str,
    /// Of a name.
    body: fn(&Site, account: &str, name: &str) -> Value,
}

pub fn environment(site: &mut Site) -> Result<()> {
    let body = |_: &Site, _: &str, name: &str| json!({"display_name": name});
    let (path, table, quota) = ("/org/v2/environments", "environments", "iam.max_environments.per_org");
    is_found_again(site, &Object { path, table, quota, body }).map(|_| ())
}

pub fn service_account(site: &mut Site) -> Result<()> {
    let body = |_: &Site, _: &str, name: &str| json!({"display_name": name, "description": ""});
    let (path, table, quota) = ("/iam/v2/service-accounts", "service_accounts", "iam.max_service_accounts.per_org");
    is_found_again(site, &Object { path, table, quota, body }).map(|_| ())
}

pub fn kafka_key(site: &mut Site) -> Result<()> {
    let body = Site::kafka_key_body;
    let (path, table, quota) = ("/iam/v2/api-keys", "api_keys", "kafka.max_api_keys.per_cluster");
    for answer in is_found_again(site, &Object { path, table, quota, body })? {
        let key = Key::from_answer(&answer)?;
        ensure!(site.is_let_in(&key)?, "the secret that was given again does not work");
    }
    Ok(())
}

pub fn cluster(site: &mut Site) -> Result<()> {
    let body = |site: &Site, _: &str, name: &str| {
        json!({"spec": {
            "display_name": name, "availability": "SINGLE_ZONE", "cloud": "AWS", "region": "us-east-2",
            "config": {"kind": "Basic"}, "environment": {"id": site.environment()},
        }})
    };
    let (path, table, quota) = ("/cmk/v2/clusters", "logical_clusters", "kafka.max_kafka_creation.per_day");
    is_found_again(site, &Object { path, table, quota, body }).map(|_| ())
}

/// The answers to the repeated requests.
fn is_found_again(site: &mut Site, object: &Object) -> Result<Vec<Value>> {
    let account = site.create_account()?;
    let without_key = is_found_again_with(site, object, &account, &[]).context("without an Idempotency-Key")?;
    let key = site.name("idempotency-key");
    let headers = [("Idempotency-Key", key.as_str())];
    let with_key = is_found_again_with(site, object, &account, &headers).context("with an Idempotency-Key")?;
    Ok(vec![without_key, with_key])
}

fn is_found_again_with(site: &mut Site, object: &Object, account: &str, headers: &[(&str, &str)]) -> Result<Value> {
    let name = site.name("lost");
    let body = (object.body)(site, account, &name);
    let (_, usage) = site.quota(object.quota)?;
    let counted = format!("SELECT count(*) FROM {} WHERE display_name = '{name}'", object.table);
    site.holder.hold_commit_of(&name);
    let mut first = site.caller().at(0)?;
    let answered = std::thread::scope(|scope| {
        let asking = scope.spawn(|| first.send("POST", object.path, headers, Some(&body)));
        let held = site.holder.wait_until_held();
        let is_committed = held
            .map(|()| wait_until(LIMIT, || site.postgres.query(DATABASE, &counted).is_ok_and(|count| count == "1")));
        site.replicas[0].kill_hard();
        let answer = asking.join().map_err(|_| anyhow!("the caller panicked"))?;
        ensure!(is_committed?, "the first request was not committed");
        Ok(answer)
    })?;
    ensure!(answered.is_err(), "the first request was answered: {answered:?}");
    let repeated = site.caller().at(1)?.send("POST", object.path, headers, Some(&body))?;
    ensure!((200..300).contains(&repeated.status), "the repeated request got {}: {}", repeated.status, repeated.body);
    let ids = site.postgres.query(DATABASE, &counted.replace("count(*)", "id"))?;
    ensure!(ids == text_at(&repeated.body, "/id")?, "made: {ids:?}; answered: {}", repeated.body);
    let (_, used) = site.quota(object.quota)?;
    ensure!(used == usage + 1, "the quota counted {used} after {usage}");
    site.replicas[0].start_again()?;
    Ok(repeated.body)
}
