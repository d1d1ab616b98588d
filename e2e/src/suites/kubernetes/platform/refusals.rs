//! What a platform engineer sees of Secrets that are missing or wrong, and that everything starts once they are right.
use anyhow::{Result, ensure};

use super::site::{CONTROL_PLANE, CONTROL_PLANE_PODS, Password, Site, WRONG};
use crate::suites::kubernetes::{Checks, LIMIT, eventually};

/// Ends with everything installed and ready.
pub fn check(site: &Site<'_>, checks: &mut Checks<'_>) {
    checks.check("without the Secret of the database an event says its name", || {
        site.release.begin_install()?;
        appears(site, "get events --output=jsonpath={.items[*].message}", &[r#"secret "database" not found"#])
    });
    checks.check("a wrong password of the database is what the log is about, and the log does not say it", || {
        site.write_database_secret(Password::Wrong)?;
        // Successors do not wait as long as Kubernetes makes a pod wait that failed.
        site.kill_pods(CONTROL_PLANE_PODS)?;
        let logs = format!("logs {CONTROL_PLANE_PODS} --tail=50");
        appears(site, &logs, &["password authentication failed", "--database-url-file"])?;
        ensure!(!site.release.kubectl(&logs)?.contains(WRONG), "the log has the password");
        Ok(())
    });
    checks.check("with the right password both replicas become ready", || {
        site.write_database_secret(Password::Right)?;
        // Successors do not wait as long as Kubernetes makes a pod wait that failed.
        site.kill_pods(CONTROL_PLANE_PODS)?;
        site.wait_until_rolled_out(CONTROL_PLANE)
    });
    checks.check("without the Secret of the object store the condition of the physical cluster says its name", || {
        let accepted = r#"get kafkaclusters --output=jsonpath={.items[*].status.conditions[?(@.type=="Accepted")]}"#;
        appears(site, accepted, &["SecretMissing", "object-store"])
    });
    checks.check("a wrong key of the object store is what the broker's log is about, and clients are served", || {
        site.write_object_store_secret(Password::Wrong)?;
        is_ready(site)?;
        let logs = "logs --selector=app.kubernetes.io/name=millstream-broker --tail=50";
        appears(site, logs, &["metadata backup:"])?;
        ensure!(!site.release.kubectl(logs)?.contains(WRONG), "the log has the key");
        Ok(())
    });
    checks.check("with the right key copies of the metadata arrive", || {
        site.write_object_store_secret(Password::Right)?;
        eventually("a copy", || site.store.borrow().keys_below("pkc-").is_ok_and(|keys| !keys.is_empty()))?;
        is_ready(site)
    });
}

/// Waits until the output has every one of these words.
fn appears(site: &Site<'_>, command: &str, words: &[&str]) -> Result<()> {
    let mut output = String::new();
    let found = eventually("such words", || {
        output = site.release.kubectl(command).unwrap_or_default();
        words.iter().all(|word| output.contains(word))
    });
    ensure!(found.is_ok(), "{command} did not say {words:?} but: {output}");
    Ok(())
}

fn is_ready(site: &Site<'_>) -> Result<()> {
    let ready = format!("wait kafkaclusters --all --for=condition=Ready --timeout={}s", LIMIT.as_secs());
    site.release.kubectl(&ready).map(drop)
}
