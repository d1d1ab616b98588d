//! A cluster's life from `kubectl apply` to its end, by kubectl alone.
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::super::release::Release;
use super::super::{Checks, eventually};
use super::resource::{Resource, manifest};

/// The cluster that the checks after these go on with.
pub const NAME: &str = "pkc-life";
/// A cluster whose volumes go with it.
const SHORT: &str = "pkc-short";

pub fn check(release: &Release<'_>, checks: &mut Checks<'_>) -> Result<()> {
    let namespace = &release.namespace;
    let cluster = Resource { namespace, name: NAME };
    cluster.apply(json!({}))?;
    Resource { namespace, name: SHORT }.apply(json!({ "deletionPolicy": "Delete" }))?;
    checks.check("applied, it becomes ready", || cluster.is_ready());
    checks.check("a changed configuration rolls its broker, in words of status and Event", || {
        let pod = cluster.pod()?;
        cluster.apply(json!({ "config": { "defaultPartitions": 7 } }))?;
        eventually("another pod", || cluster.pod().is_ok_and(|now| now != pod))?;
        cluster.is_ready()?;
        let file = cluster.read_kind("configmap", "-config")?;
        ensure!(file["data"].to_string().contains("partitions = 7"), "{}", file["data"]);
        let events = format!("get events --field-selector=involvedObject.name={NAME},reason=Rolling --output=name");
        eventually("an Event", || namespace.kubectl(&events).is_ok_and(|names| !names.is_empty()))
    });
    checks.check("a volume grows before its pod is replaced", || grows_first(&cluster));
    checks.check("a killed pod comes back", || {
        let pod = cluster.pod()?;
        namespace.kubectl(&format!("delete pod {NAME}-main-0 --grace-period=0 --force"))?;
        eventually("another pod", || cluster.pod().is_ok_and(|now| now != pod))?;
        cluster.is_ready()
    });
    checks.check("while it is paused nothing is changed, and afterwards it is", || {
        let pod = cluster.pod()?;
        let changed = |paused: bool| {
            let claim = json!({ "class": "folder", "size": "2Gi" });
            json!({
                "config": { "defaultPartitions": 9 }, "maintenance": { "paused": paused }, "nodePools": [{ "storage": claim }],
            })
        };
        cluster.apply(changed(true))?;
        cluster.becomes("Progressing", "True")?;
        ensure!(cluster.pod()? == pod, "its pod was replaced");
        cluster.apply(changed(false))?;
        eventually("another pod", || cluster.pod().is_ok_and(|now| now != pod))?;
        cluster.is_ready()
    });
    checks.check("deleted with the policy Delete it leaves nothing", || {
        let short = Resource { namespace, name: SHORT };
        short.is_ready()?;
        short.delete()?;
        let mut left = Vec::new();
        let gone = eventually("end", || {
            left = short.parts().unwrap_or_default();
            left.is_empty()
        });
        gone.with_context(|| left.join(", "))
    });
    Ok(())
}

/// After everything else: the end of the cluster, and what stays.
pub fn check_end(release: &Release<'_>, checks: &mut Checks<'_>) {
    let cluster = Resource { namespace: &release.namespace, name: NAME };
    let volume = format!("get pvc data-{NAME}-main-0 --output=jsonpath={{.spec.volumeName}}");
    checks.check("deleted with the policy Retain it leaves its volume, and nothing else", || {
        let before = release.kubectl(&volume)?;
        cluster.delete()?;
        let claim = format!("persistentvolumeclaim/data-{NAME}-main-0");
        let mut left = Vec::new();
        let gone = eventually("end", || {
            left = cluster.parts().unwrap_or_default();
            left == [claim.clone()]
        });
        gone.with_context(|| left.join(", "))?;
        ensure!(release.kubectl(&volume)? == before, "another volume");
        Ok(())
    });
    checks.check("a resource of the same name finds its volume again", || {
        let before = release.kubectl(&volume)?;
        let storage = json!({ "class": "folder", "size": "2Gi" });
        release.namespace.apply(&manifest(NAME, json!({ "nodePools": [{ "storage": storage }] })).to_string())?;
        cluster.is_ready()?;
        ensure!(release.kubectl(&volume)? == before, "another volume");
        cluster.delete()
    });
}

/// Both are asked for at once; the claim has grown by the time the pod that was there has gone.
fn grows_first(cluster: &Resource<'_>) -> Result<()> {
    let (namespace, pod) = (cluster.namespace, cluster.pod()?);
    let storage = json!({ "class": "folder", "size": "2Gi" });
    cluster.apply(json!({ "nodePools": [{ "storage": storage }], "config": { "defaultPartitions": 8 } }))?;
    let asked = format!("get pvc data-{NAME}-main-0 --output=jsonpath={{.spec.resources.requests.storage}}");
    let mut asked_first = false;
    eventually("another pod", || {
        let replaced = cluster.pod().is_ok_and(|now| now != pod);
        asked_first |= !replaced && namespace.kubectl(&asked).is_ok_and(|size| size == "2Gi");
        replaced
    })?;
    ensure!(asked_first, "the pod was replaced before its claim asked for more");
    cluster.is_ready()?;
    let capacity = format!("get pvc data-{NAME}-main-0 --output=jsonpath={{.status.capacity.storage}}");
    eventually("2Gi", || namespace.kubectl(&capacity).is_ok_and(|size| size == "2Gi"))?;
    let template = cluster.read_kind("statefulset", "-main")?;
    let size = template.pointer("/spec/volumeClaimTemplates/0/spec/resources/requests/storage");
    ensure!(size == Some(&json!("2Gi")), "the StatefulSet still says {size:?}");
    Ok(())
}
