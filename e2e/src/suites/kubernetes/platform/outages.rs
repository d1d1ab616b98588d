//! Parts of the platform go away and come back while a producer writes to the Dedicated cluster: no record that was acknowledged is
//! lost, a planned restart is one restart, and what was asked for meanwhile arrives.
use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::clients::Clients;
use super::producer::Producer;
use super::site::{CONTROL_PLANE, CONTROL_PLANE_PODS, OPERATOR, OPERATOR_PODS, Site, broker_pod};
use crate::kube::node;
use crate::rest::Rest;
use crate::suites::kubernetes::account::{Account, id};
use crate::suites::kubernetes::{Checks, eventually};

const REPLICAS: u8 = 2;
const ENVIRONMENTS: &str = "/org/v2/environments";

/// What the checks act upon.
struct Scene<'a> {
    site: &'a Site<'a>,
    account: &'a Account<'a>,
    producer: Producer,
    /// The Dedicated logical cluster and its physical one.
    cluster: &'a str,
    physical_cluster: &'a str,
}

pub fn check(site: &Site<'_>, account: &Account<'_>, clients: &Clients<'_>, checks: &mut Checks<'_>) -> Result<()> {
    let tenant = clients.dedicated()?;
    let producer = Producer::start(clients, tenant)?;
    let (cluster, physical_cluster) = (&tenant.id, &tenant.physical_cluster);
    let scene = Scene { site, account, producer, cluster, physical_cluster };
    checks.check("other values of the chart restart the broker once", || scene.new_values());
    checks.check("a second CKU makes volume and broker grow", || scene.second_cku());
    checks.check("a broker killed without a warning comes back", || scene.broker_killed());
    checks.check("every operator killed at once: nobody notices", || scene.operators_killed());
    checks.check("every replica of the control plane killed at once: only the REST API notices", || {
        scene.control_plane_killed()
    });
    checks.check("without PostgreSQL replicas answer 503 with Retry-After, and records go on", || {
        scene.without_database()
    });
    checks.check("with neither database nor control plane a broker starts from what it was told last", || {
        scene.without_control_plane()
    });
    checks.check("what is asked for while there is no agent arrives later, and nothing is deleted", || {
        scene.without_agent()
    });
    checks.check("without the object store a broker starts and serves", || scene.without_object_store());
    checks.check("a node that lost its power comes back with the broker", || scene.node_killed());
    checks.check("no acknowledged record is lost, doubled or out of order", || scene.producer.end());
    Ok(())
}

impl Scene<'_> {
    fn new_values(&self) -> Result<()> {
        self.is_replaced_once(|| self.site.release.upgrade_with("brokers.perCku.memoryMib=300"))
    }

    fn second_cku(&self) -> Result<()> {
        self.is_replaced_once(|| self.account.run(&format!("cluster update {} --cku 2", self.cluster)).map(drop))?;
        let claim = format!("get pvc data-{} --output=jsonpath={{.status.capacity.storage}}", self.pod());
        ensure!(self.site.release.kubectl(&claim)? == "2Gi", "the volume did not grow");
        let described = self.account.run(&format!("cluster describe {}", self.cluster))?;
        ensure!(described.pointer("/status/cku") == Some(&Value::from(2)), "{described}");
        Ok(())
    }

    fn broker_killed(&self) -> Result<()> {
        self.kill_broker()?;
        self.serves()
    }

    fn operators_killed(&self) -> Result<()> {
        let before = self.site.broker(self.physical_cluster);
        self.site.kill_pods(OPERATOR_PODS)?;
        self.producer.goes_on()?;
        self.site.wait_until_rolled_out(OPERATOR)?;
        ensure!(self.site.broker(self.physical_cluster) == before, "the broker was restarted");
        self.serves()
    }

    fn control_plane_killed(&self) -> Result<()> {
        let before = self.site.broker(self.physical_cluster);
        self.site.kill_pods(CONTROL_PLANE_PODS)?;
        self.producer.goes_on()?;
        self.site.wait_until_rolled_out(CONTROL_PLANE)?;
        eventually("answer of the REST API", || self.account.run("environment list").is_ok())?;
        ensure!(self.site.broker(self.physical_cluster) == before, "the broker was restarted");
        self.serves()
    }

    fn without_database(&self) -> Result<()> {
        let replicas = self.replicas()?;
        self.site.postgres.borrow_mut().stop()?;
        for address in &replicas {
            let answer = self.account.rest_at(address)?.send("GET", ENVIRONMENTS, &[], None)?;
            let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
            ensure!(answer.status == 503 && seconds.is_some_and(|seconds| seconds > 0), "{address}: {answer:?}");
        }
        self.producer.goes_on()?;
        self.site.postgres.borrow_mut().start_again()?;
        let answers = |mut rest: Rest| rest.ask("GET", ENVIRONMENTS, None).is_ok_and(|(status, _)| status == 200);
        for address in &replicas {
            eventually("answer of a replica", || self.account.rest_at(address).is_ok_and(answers))?;
        }
        self.serves()
    }

    fn without_control_plane(&self) -> Result<()> {
        self.site.postgres.borrow_mut().stop()?;
        self.site.scale(CONTROL_PLANE, 0)?;
        self.kill_broker()?;
        self.serves()?;
        self.site.postgres.borrow_mut().start_again()?;
        self.site.scale(CONTROL_PLANE, REPLICAS)?;
        eventually("answer of the REST API", || self.account.run("environment list").is_ok())
    }

    fn without_agent(&self) -> Result<()> {
        self.site.scale(OPERATOR, 0)?;
        let before = self.site.physical_clusters()?;
        let later = self.account.run("cluster create later --type dedicated --cku 1 --no-wait")?;
        let later = id(&later)?;
        self.producer.goes_on()?;
        ensure!(self.site.physical_clusters()? == before, "resources changed");
        self.site.scale(OPERATOR, REPLICAS)?;
        self.account.wait_for_phase(&later, "PROVISIONED")?;
        let after = self.site.physical_clusters()?;
        ensure!(before.iter().all(|name| after.contains(name)), "{after:?} is all that is left of {before:?}");
        self.account.run(&format!("cluster delete {later} --force")).map(drop)
    }

    fn without_object_store(&self) -> Result<()> {
        self.site.store.borrow_mut().stop();
        self.kill_broker()?;
        self.serves()?;
        self.site.store.borrow_mut().start_again()
    }

    fn node_killed(&self) -> Result<()> {
        let kubernetes = self.site.kubernetes;
        let name = format!("get pod {} --output=jsonpath={{.spec.nodeName}}", self.pod());
        let name = self.site.release.kubectl(&name)?;
        let lost = *kubernetes.nodes().iter().find(|node| node.name() == name).context("the pod has a node")?;
        node::kill(kubernetes.layout(), lost)?;
        let ready = r#"--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
        let ready = format!("get node {name} {ready}");
        eventually("a node that is not ready", || {
            self.site.release.kubectl(&ready).is_ok_and(|ready| ready == "Unknown")
        })?;
        node::start(kubernetes.layout(), kubernetes.tools(), lost)?;
        eventually("a node that is ready", || self.site.release.kubectl(&ready).is_ok_and(|ready| ready == "True"))?;
        self.serves()
    }

    /// The broker is as it was asked for, and records go through it.
    fn serves(&self) -> Result<()> {
        self.site.wait_until_ready(self.physical_cluster)?;
        self.producer.goes_on()
    }

    /// A change that needs a restart is one restart.
    fn is_replaced_once(&self, change: impl FnOnce() -> Result<()>) -> Result<()> {
        let before = self.site.broker(self.physical_cluster);
        change()?;
        let mut seen = BTreeSet::from([before.clone()]);
        eventually("another broker that is ready", || {
            let now = self.site.broker(self.physical_cluster);
            let is_another = !now.is_empty() && now != before;
            seen.insert(now);
            is_another && self.site.is_settled(self.physical_cluster)
        })?;
        seen.remove("");
        ensure!(seen.len() == 2, "{} pods were one after another the broker", seen.len());
        self.serves()
    }

    /// Kills the broker; another one has its place.
    fn kill_broker(&self) -> Result<()> {
        let before = self.site.broker(self.physical_cluster);
        self.site.kill_pods(&self.pod())?;
        eventually("another pod", || {
            let now = self.site.broker(self.physical_cluster);
            !now.is_empty() && now != before
        })
    }

    fn pod(&self) -> String {
        broker_pod(self.physical_cluster)
    }

    /// The addresses of the replicas of the control plane, and that of the Service before them.
    fn replicas(&self) -> Result<Vec<String>> {
        let addresses = format!("get pods {CONTROL_PLANE_PODS} --output=jsonpath={{.items[*].status.podIP}}");
        let addresses = self.site.release.kubectl(&addresses)?;
        let service = self.site.release.kubectl("get service millstream --output=jsonpath={.spec.clusterIP}")?;
        let addresses = addresses.split_whitespace().chain([service.as_str()]);
        Ok(addresses.map(|address| format!("http://{address}:8080")).collect())
    }
}
