//! What is deleted leaves nothing, at whatever moment it is deleted: no resource, volume, Secret, object or counter.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};

use super::clients::{Clients, Tenant};
use super::site::Site;
use crate::suites::kubernetes::account::{Account, id};
use crate::suites::kubernetes::{Checks, eventually};

/// Kinds of what a release and its physical clusters consist of.
const PARTS: &str = "kafkaclusters,deployments,statefulsets,jobs,pods,services,configmaps,secrets,serviceaccounts,\
    persistentvolumeclaims,networkpolicies,poddisruptionbudgets,roles,rolebindings,leases";
/// Counts what was made in a day: a deletion makes no room.
const MADE_TODAY: &str = "kafka.max_kafka_creation.per_day";
/// Nothing of these is the release's: Kubernetes or whoever installed it made them.
const OF_OTHERS: &[&str] =
    &["configmap/kube-root-ca.crt", "serviceaccount/default", "secret/database", "secret/object-store"];
/// What an uninstall keeps: what opens the database, the chart of the definitions, and what goes with the namespace.
const KEPT: &[&str] = &[
    "secret/millstream-first-credentials",
    "secret/millstream-installation",
    "secret/sh.helm.release.v1.millstream-crds.v1",
    "lease.coordination.k8s.io/millstream-operator",
];
/// End of the names of Secrets with tokens of brokers: an agent removes them, and goes on making physical clusters.
const TOKEN: &str = "-agent-token";

/// What counts towards the quotas of an organization and its environments.
#[derive(Debug, PartialEq, Eq)]
pub struct Usage(BTreeMap<String, i64>);

impl Usage {
    pub fn now(account: &Account<'_>) -> Result<Self> {
        let mut usage = BTreeMap::new();
        for scope in ["ORGANIZATION", "ENVIRONMENT"] {
            let path = format!("/service-quota/v1/applied-quotas?scope={scope}&page_size=200");
            let page = account.rest()?.call("GET", &path, None)?;
            for quota in page["data"].as_array().context("a page has data")? {
                let code = quota["id"].as_str().context("a quota has a code")?;
                if code != MADE_TODAY {
                    let environment = quota["environment"]["id"].as_str().unwrap_or_default();
                    usage.insert(format!("{code} {environment}"), quota["usage"].as_i64().context("and a usage")?);
                }
            }
        }
        ensure!(!usage.is_empty(), "there are no quotas");
        Ok(Self(usage))
    }
}

/// `before` is from the time when there was no cluster.
pub fn check(site: &Site<'_>, account: &Account<'_>, clients: &Clients<'_>, before: &Usage, checks: &mut Checks<'_>) {
    checks.check("a Dedicated cluster that is deleted while it is made leaves nothing", || {
        let parts = parts(site)?;
        let cluster = id(&account.run("cluster create short --type dedicated --cku 1 --no-wait")?)?;
        eventually("a resource", || {
            site.physical_clusters().is_ok_and(|now| now.iter().any(|name| !parts.contains(name)))
        })?;
        delete(account, &cluster)?;
        is_back_at(site, &parts)
    });
    checks.check("one that is deleted while it is upgraded leaves nothing, in the bucket neither", || {
        let Tenant { id, physical_cluster, .. } = clients.dedicated()?;
        let mut parts = parts(site)?;
        ensure!(!site.store.borrow().keys_below(physical_cluster)?.is_empty(), "there is nothing in the bucket");
        account.run(&format!("cluster update {id} --cku 3"))?;
        eventually("a change that has begun", || !site.is_settled(physical_cluster))?;
        delete(account, id)?;
        parts.retain(|name| !name.contains(physical_cluster));
        is_back_at(site, &parts)?;
        let left = site.store.borrow().keys_below(physical_cluster)?;
        ensure!(left.is_empty(), "in the bucket: {}", left.join(", "));
        let volumes = site.release.kubectl("get persistentvolumes --output=jsonpath={.items[*].spec.claimRef.name}")?;
        ensure!(!volumes.contains(physical_cluster), "volumes: {volumes}");
        Ok(())
    });
    checks.check("Basic and Standard clusters go, and every counter is where it was before the first one", || {
        for tenant in clients.tenants.iter().filter(|tenant| tenant.kind != "dedicated") {
            delete(account, &tenant.id)?;
        }
        let owners = account.run("service-account list")?;
        for owner in owners.as_array().context("a list")? {
            account.run(&format!("service-account delete {} --force", id(owner)?))?;
        }
        let mut now = None;
        let is_back = eventually("counters as before", || {
            now = Usage::now(account).ok();
            now.as_ref() == Some(before)
        });
        is_back.with_context(|| format!("{now:?} instead of {before:?}"))
    });
    checks.check("without its physical clusters an uninstalled chart leaves what it says and nothing else", || {
        // Without an agent nobody makes them again.
        site.release.upgrade_with("operator.agent.enabled=false")?;
        let mut allowed: BTreeSet<_> = OF_OTHERS.iter().chain(KEPT).map(|name| (*name).to_owned()).collect();
        for name in site.physical_clusters()? {
            let policy = r#"{"spec":{"deletionPolicy":"Delete"}}"#;
            site.release.kubectl(&format!("patch {name} --type=merge --patch={policy}"))?;
            site.release.kubectl(&format!("delete {name} --timeout=90s"))?;
            let cluster = name.rsplit('/').next().unwrap_or_default();
            allowed.insert(format!("secret/{cluster}{TOKEN}"));
        }
        site.release.helm("uninstall millstream --wait")?;
        is_back_at(site, &allowed)?;
        let left = site.store.borrow().keys_below("")?;
        ensure!(left.is_empty(), "in the bucket: {}", left.join(", "));
        Ok(())
    });
}

/// Deletes a logical cluster and waits until nobody knows it.
fn delete(account: &Account<'_>, cluster: &str) -> Result<()> {
    account.run(&format!("cluster delete {cluster} --force"))?;
    let path = format!("/cmk/v2/clusters/{cluster}?environment={}", account.environment);
    eventually("end of the cluster", || {
        account.rest().is_ok_and(|mut rest| rest.ask("GET", &path, None).is_ok_and(|(status, _)| status == 404))
    })
}

fn parts(site: &Site<'_>) -> Result<BTreeSet<String>> {
    let names = site.release.kubectl(&format!("get {PARTS} --output=name"))?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// Waits until there is nothing that was not there before.
fn is_back_at(site: &Site<'_>, before: &BTreeSet<String>) -> Result<()> {
    let mut left = Vec::new();
    let gone = eventually("end of what was deleted", || {
        left = parts(site).unwrap_or_default().difference(before).cloned().collect();
        left.is_empty()
    });
    gone.with_context(|| format!("left: {}", left.join(", ")))
}
