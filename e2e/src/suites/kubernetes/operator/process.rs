//! The replicas of the operator: which one acts, what it counts and says, and its process.
use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::super::Namespace;

const PODS: &str = "--selector=app.kubernetes.io/component=operator";

/// The replicas of the operator in a namespace.
pub struct Operators<'a> {
    pub namespace: &'a Namespace<'a>,
}

impl Operators<'_> {
    /// Who holds the Lease: the name of a pod and something random.
    pub fn holder(&self) -> Result<String> {
        let holder =
            self.namespace.kubectl("get lease millstream-operator --output=jsonpath={.spec.holderIdentity}")?;
        anyhow::ensure!(!holder.is_empty(), "nobody holds the Lease");
        Ok(holder)
    }

    /// The pod that holds the Lease.
    pub fn leader(&self) -> Result<String> {
        let holder = self.holder()?;
        holder.split_once('_').map(|(pod, _)| pod.to_owned()).context("the holder is no pod")
    }

    pub fn pods(&self) -> Result<Vec<String>> {
        let names =
            self.namespace.kubectl(&format!("get pods {PODS} --output=jsonpath={{.items[*].metadata.name}}"))?;
        Ok(names.split(' ').map(str::to_owned).collect())
    }

    pub fn is_ready(&self, pod: &str) -> Result<bool> {
        let ready = "--output=jsonpath={.status.containerStatuses[0].ready}";
        Ok(self.namespace.kubectl(&format!("get pod {pod} {ready}"))? == "true")
    }

    pub fn restarts(&self, pod: &str) -> Result<u32> {
        let count = "--output=jsonpath={.status.containerStatuses[0].restartCount}";
        Ok(self.namespace.kubectl(&format!("get pod {pod} {count}"))?.parse()?)
    }

    pub fn log(&self, pod: &str) -> Result<String> {
        self.namespace.kubectl(&format!("logs {pod}"))
    }

    pub fn metrics(&self, pod: &str) -> Result<String> {
        let namespace = &self.namespace.name;
        self.namespace.kubectl(&format!("get --raw /api/v1/namespaces/{namespace}/pods/{pod}:8090/proxy/metrics"))
    }

    /// Reconciliations that the leader has begun so far, those that failed too.
    pub fn reconciliations(&self) -> Result<u64> {
        let page = self.metrics(&self.leader()?)?;
        let count = |name: &str| -> Result<u64> {
            let found = page.lines().find_map(|line| line.strip_prefix(&format!("millstream_operator_{name} ")));
            Ok(found.with_context(|| format!("there is no {name}"))?.parse()?)
        };
        Ok(count("reconciliations_total")? + count("reconciliation_failures_total")?)
    }

    /// Sends a signal to the process in a pod: it is a process of this machine too.
    pub fn signal(&self, pod: &str, signal: Signal) -> Result<()> {
        let pid = process_of(pod)?.with_context(|| format!("{pod} has no process"))?;
        let pid = Pid::from_raw(pid).context("0 is no process")?;
        Ok(kill_process(pid, signal)?)
    }
}

/// The operator whose host name is that of the pod.
fn process_of(pod: &str) -> Result<Option<i32>> {
    let host = format!("HOSTNAME={pod}");
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let is_operator = read("cmdline").split(|byte| *byte == 0).any(|word| word == b"operator");
        if is_operator && read("environ").split(|byte| *byte == 0).any(|variable| variable == host.as_bytes()) {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}
