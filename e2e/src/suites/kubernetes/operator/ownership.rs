//! Whose a field and an object are: what somebody else sets stays, what is ours comes back, and a cluster that is as specified
//! is left in peace.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::{Checks, Namespace, eventually};
use super::life::NAME;
use super::process::Operators;
use super::resource::Resource;

/// How long a cluster that is as specified is watched.
const QUIET: Duration = Duration::from_secs(30);
/// It is looked at every 300 s, and once more for whatever came before.
const QUIET_RECONCILIATIONS: u64 = 2;
/// Our own fields, each with what somebody writes by hand.
const EDITS: &[(&str, &str, &str, &str)] = &[
    (
        "service",
        "-bootstrap",
        "/spec/selector/millstream.dev~1cluster",
        r#"{"spec":{"selector":{"millstream.dev/cluster":"x"}}}"#,
    ),
    ("configmap", "-ca", "/data/ca.crt", r#"{"data":{"ca.crt":"nobody"}}"#),
    ("statefulset", "-main", "/spec/replicas", r#"{"spec":{"replicas":0}}"#),
    ("networkpolicy", "", "/spec/podSelector/matchLabels", r#"{"spec":{"podSelector":{"matchLabels":{"a":"b"}}}}"#),
    ("poddisruptionbudget", "", "/spec/maxUnavailable", r#"{"spec":{"maxUnavailable":7}}"#),
];
/// What is deleted by hand.
const DELETED: &[(&str, &str)] = &[
    ("service", "-bootstrap"),
    ("configmap", "-config"),
    ("networkpolicy", ""),
    ("poddisruptionbudget", ""),
    ("serviceaccount", ""),
    ("statefulset", "-main"),
];

pub fn check(namespace: &Namespace<'_>, operators: &Operators<'_>, checks: &mut Checks<'_>) -> Result<()> {
    let cluster = Resource { namespace, name: NAME };
    cluster.apply(spec(1))?;
    cluster.is_ready()?;
    checks.check("what somebody else sets stays through a change of ours", || what_is_theirs_stays(&cluster));
    for (kind, ending, pointer, edit) in EDITS {
        checks.check(&format!("{kind} {pointer} edited by hand is repaired"), || {
            let before = cluster.read_kind(kind, ending)?.pointer(pointer).cloned().context("there is such a field")?;
            cluster.patch_kind(kind, ending, &serde_json::from_str(edit)?)?;
            eventually("repair", || {
                cluster.read_kind(kind, ending).is_ok_and(|now| now.pointer(pointer) == Some(&before))
            })
        });
    }
    for (kind, ending) in DELETED {
        checks.check(&format!("a deleted {kind} comes back, and no pod goes"), || {
            cluster.is_ready()?;
            let (pod, uid) = (cluster.pod()?, cluster.read_kind(kind, ending)?["metadata"]["uid"].clone());
            namespace.kubectl(&format!("delete {kind} {NAME}{ending} --cascade=orphan"))?;
            eventually("another one", || {
                cluster.read_kind(kind, ending).is_ok_and(|now| now["metadata"]["uid"] != uid)
            })?;
            ensure!(cluster.pod()? == pod, "its pod was replaced");
            Ok(())
        });
    }
    checks.check("an object of ours that nothing asks for any more is removed", || {
        let owner = &cluster.read_kind("service", "-bootstrap")?["metadata"];
        let orphan = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": format!("{NAME}-orphan"), "labels": owner["labels"], "ownerReferences": owner["ownerReferences"],
            },
            "spec": { "ports": [{ "port": 1 }] },
        });
        namespace.apply(&orphan.to_string())?;
        eventually("end", || cluster.read_kind("service", "-orphan").is_err())
    });
    checks.check("a finalizer that was removed by hand is set again", || {
        cluster.patch_kind("kafkacluster", "", &json!({ "metadata": { "finalizers": null } }))?;
        eventually("a finalizer", || {
            cluster.read().is_ok_and(|now| now["metadata"]["finalizers"] == json!(["millstream.dev/kafka-cluster"]))
        })
    });
    checks
        .check("a cluster that is as specified is not written, and hardly looked at", || is_quiet(&cluster, operators));
    Ok(())
}

/// The cluster as the checks before left it, with one setting.
fn spec(partitions: i32) -> Value {
    json!({
        "config": { "defaultPartitions": partitions },
        "nodePools": [{ "storage": { "class": "folder", "size": "2Gi" } }],
    })
}

fn what_is_theirs_stays(cluster: &Resource<'_>) -> Result<()> {
    let theirs = json!({
        "metadata": { "annotations": { "team": "blue" }, "labels": { "cost-center": "4711" } },
        "spec": { "sessionAffinity": "ClientIP" },
    });
    cluster.patch_kind("service", "-bootstrap", &theirs)?;
    cluster.patch_kind("statefulset", "-main", &json!({ "metadata": { "annotations": { "team": "blue" } } }))?;
    let pod = cluster.pod()?;
    cluster.apply(spec(2))?;
    eventually("another pod", || cluster.pod().is_ok_and(|now| now != pod))?;
    cluster.is_ready()?;
    let service = cluster.read_kind("service", "-bootstrap")?;
    for (pointer, value) in [
        ("/metadata/annotations/team", "blue"),
        ("/metadata/labels/cost-center", "4711"),
        ("/metadata/labels/app.kubernetes.io~1managed-by", "millstream-operator"),
        ("/spec/sessionAffinity", "ClientIP"),
    ] {
        ensure!(service.pointer(pointer) == Some(&json!(value)), "{pointer} is {:?}", service.pointer(pointer));
    }
    let annotations = &cluster.read_kind("statefulset", "-main")?["metadata"]["annotations"];
    ensure!(annotations["team"] == "blue", "the StatefulSet has {annotations}");
    Ok(())
}

/// Waits for a while on purpose: what is counted is what happens in it.
fn is_quiet(cluster: &Resource<'_>, operators: &Operators<'_>) -> Result<()> {
    cluster.is_ready()?;
    let mut versions = String::new();
    // What the checks before set in motion has come to its end.
    eventually("rest", || {
        let now = cluster.versions().unwrap_or_default();
        let is_same = now == versions;
        versions = now;
        is_same
    })?;
    let count = operators.reconciliations()?;
    std::thread::sleep(QUIET);
    let made = operators.reconciliations()? - count;
    let now = cluster.versions()?;
    ensure!(now == versions, "something was written: {versions}, then {now}");
    ensure!(made <= QUIET_RECONCILIATIONS, "{made} reconciliations in {} s", QUIET.as_secs());
    Ok(())
}
