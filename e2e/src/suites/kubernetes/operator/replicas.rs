//! Two replicas: one acts, the other takes over, and whoever was away does nothing any more.
use anyhow::{Result, ensure};
use rustix::process::Signal;
use serde_json::json;

use super::super::{Checks, Namespace, eventually};
use super::life::NAME;
use super::process::Operators;
use super::resource::Resource;

pub fn check(namespace: &Namespace<'_>, operators: &Operators<'_>, checks: &mut Checks<'_>) {
    let cluster = Resource { namespace, name: NAME };
    checks.check("of two replicas exactly one acts, and both are ready", || {
        let pods = operators.pods()?;
        ensure!(pods.len() == 2, "{pods:?}");
        let mut acting = 0;
        for pod in &pods {
            ensure!(operators.is_ready(pod)?, "{pod} is not ready");
            acting += usize::from(operators.metrics(pod)?.contains("millstream_operator_leader 1"));
        }
        ensure!(acting == 1, "{acting} of them act");
        Ok(())
    });
    checks.check("a killed leader is followed by another one, which goes on", || {
        let holder = operators.holder()?;
        operators.signal(&operators.leader()?, Signal::KILL)?;
        eventually("another holder", || operators.holder().is_ok_and(|now| now != holder))?;
        rolls(&cluster, "2026-01-01T00:00:00Z")
    });
    checks.check("a frozen leader that wakes up after another one took over ends without an action", || {
        let (holder, leader) = (operators.holder()?, operators.leader()?);
        let (restarts, said) = (operators.restarts(&leader)?, operators.log(&leader)?);
        operators.signal(&leader, Signal::STOP)?;
        let followed = eventually("another holder", || operators.holder().is_ok_and(|now| now != holder));
        // It wakes up to the watch events of all this. Its kubelet would end it after a minute.
        let rolled = followed.and_then(|()| is_replaced(&cluster, "2026-01-02T00:00:00Z"));
        operators.signal(&leader, Signal::CONT)?;
        rolled?;
        eventually("its end", || operators.restarts(&leader).is_ok_and(|now| now > restarts))?;
        let words = namespace.kubectl(&format!("logs {leader} --previous"))?;
        let words = words.strip_prefix(said.as_str()).unwrap_or(&words);
        ensure!(words.contains("does not act any more"), "it was ended by somebody else: {words}");
        ensure!(!words.contains(NAME), "it acted: {words}");
        cluster.is_ready()
    });
}

/// A restart that is asked for is carried out.
fn rolls(cluster: &Resource<'_>, restarted_at: &str) -> Result<()> {
    is_replaced(cluster, restarted_at)?;
    cluster.is_ready()
}

fn is_replaced(cluster: &Resource<'_>, restarted_at: &str) -> Result<()> {
    let pod = cluster.pod()?;
    cluster.patch_kind("kafkacluster", "", &json!({ "spec": { "maintenance": { "restartedAt": restarted_at } } }))?;
    eventually("another pod", || cluster.pod().is_ok_and(|now| now != pod))
}
