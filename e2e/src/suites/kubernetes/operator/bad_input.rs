//! Specs that cannot work: each is said by a condition with its reason, by `blockedBy` and by an Event; nothing is half made,
//! nothing is tried again and again without a pause, and it goes on when what was lacking is there.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::{Checks, Namespace, eventually};
use super::process::Operators;
use super::resource::{Resource, condition_of, manifest};

/// How long the operator is watched while nothing happens.
const QUIET: Duration = Duration::from_secs(20);
/// Reconciliations of one cluster in that time at most: a spec that cannot work is looked at every 30 s, a pod that does not get
/// ready every 5 s and at each change of its status.
const QUIET_RECONCILIATIONS: u64 = 10;

/// What cannot work, and what makes it work.
struct Row {
    what: &'static str,
    name: &'static str,
    spec: Value,
    /// The condition that says so, with its status.
    condition: (&'static str, &'static str),
    reason: &'static str,
    /// Part of what `blockedBy` says.
    named: &'static str,
    repair: Repair,
}

/// What a person does about it.
enum Repair {
    /// Makes what is missing.
    Apply(Value),
    /// Changes the spec.
    Change(Value),
    /// Deletes what is in the way.
    Delete(&'static str),
    /// Names the default StorageClass again.
    Default,
}

const REJECTED: (&str, &str) = ("Accepted", "False");
const UNREADY: (&str, &str) = ("Ready", "False");
const ELDER: &str = "pkc-elder";

fn rows() -> Vec<Row> {
    let row =
        |what, name, spec, condition, reason, named, repair| Row { what, name, spec, condition, reason, named, repair };
    let store = |credentials: Value| json!({ "objectStore": { "bucket": "bucket", "region": "eu-west-1", "credentials": credentials } });
    let pool = |change: Value| json!({ "nodePools": [change] });
    let memory = |amount: &str| pool(json!({ "resources": { "requests": { "memory": amount } } }));
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "irsa" } });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s3" },
        "stringData": { "access-key-id": "id", "secret-access-key": "key" },
    });
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": "rigid" },
        "provisioner": "millstream.dev/folder", "volumeBindingMode": "WaitForFirstConsumer",
    });
    let route = json!({ "type": "tlsRoute", "domain": "kafka.example.com", "gateway": { "name": "edge" } });
    let other_image = json!({ "image": { "repository": "millstream.dev/absent" } });
    vec![
        row(
            "a Secret that is missing",
            "pkc-secret",
            store(json!({ "existingSecret": { "name": "s3" } })),
            REJECTED,
            "SecretMissing",
            "there is no Secret s3",
            Repair::Apply(secret),
        ),
        row(
            "a ServiceAccount that is missing",
            "pkc-account",
            store(json!({ "serviceAccount": { "name": "irsa" } })),
            REJECTED,
            "ServiceAccountMissing",
            "no ServiceAccount irsa",
            Repair::Apply(account),
        ),
        row(
            "a StorageClass that is missing",
            "pkc-class",
            pool(json!({ "storage": { "class": "rigid" } })),
            REJECTED,
            "StorageClassMissing",
            "no StorageClass rigid",
            Repair::Apply(class),
        ),
        row(
            "no default StorageClass",
            "pkc-default",
            pool(json!({ "storage": { "class": null } })),
            REJECTED,
            "StorageClassMissing",
            "no default StorageClass",
            Repair::Default,
        ),
        row(
            "more members than can work",
            "pkc-many",
            pool(json!({ "replicas": 3 })),
            REJECTED,
            "SeveralBrokersUnsupported",
            "3 members",
            Repair::Change(json!({})),
        ),
        row(
            "a second resource with the id of another",
            "pkc-younger",
            json!({ "physicalClusterId": ELDER }),
            REJECTED,
            "PhysicalClusterIdTaken",
            "the older KafkaCluster pkc-elder",
            Repair::Delete("kafkacluster/pkc-elder"),
        ),
        row(
            "a TLSRoute without the Gateway API",
            "pkc-route",
            json!({ "listeners": { "external": route } }),
            REJECTED,
            "GatewayApiMissing",
            "install the Gateway API",
            Repair::Change(json!({})),
        ),
        row(
            "a name that somebody else has",
            "pkc-taken",
            json!({}),
            UNREADY,
            "NameTaken",
            "Service pkc-taken-bootstrap",
            Repair::Delete("service/pkc-taken-bootstrap"),
        ),
        row(
            "an image that does not exist",
            "pkc-image",
            other_image,
            UNREADY,
            "ImagePullFailed",
            "millstream.dev/absent",
            Repair::Change(json!({})),
        ),
        row(
            "nodes without room",
            "pkc-room",
            memory("500Gi"),
            UNREADY,
            "Unschedulable",
            "Insufficient memory",
            Repair::Change(memory("64Mi")),
        ),
    ]
}

pub fn check(namespace: &Namespace<'_>, operators: &Operators<'_>, checks: &mut Checks<'_>) -> Result<()> {
    let rows = rows();
    let foreign = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "pkc-taken-bootstrap" },
        "spec": { "ports": [{ "port": 1 }] },
    });
    namespace.apply(&foreign.to_string())?;
    set_default_class(namespace, false)?;
    let elder = Resource { namespace, name: ELDER };
    let paused = json!({ "maintenance": { "paused": true } });
    elder.apply(paused)?;
    // Whose time of creation is earlier is what counts, and it has seconds only.
    elder.becomes("Accepted", "True")?;
    for row in &rows {
        namespace.apply(&deleted_with_volumes(row.name, row.spec.clone()).to_string())?;
    }
    for row in &rows {
        checks.check(&format!("{}: {}", row.what, row.reason), || is_said(namespace, row));
    }
    checks.check("nothing of them is written or tried again without a pause", || is_quiet(namespace, operators, &rows));
    for row in &rows {
        checks.check(&format!("{}: it goes on when that is repaired", row.what), || goes_on(namespace, row));
    }
    set_default_class(namespace, true)?;
    checks.check("a volume whose StorageClass does not let it grow: ExpansionUnsupported, until it does", || {
        cannot_grow(namespace)
    });
    checks.check(
        "a bucket that cannot be emptied holds its resource back and is named, until it is left as it is",
        || {
            rows.iter()
                .filter(|row| row.spec.get("objectStore").is_some())
                .try_for_each(|row| leaves_its_bucket(namespace, row))
        },
    );
    for row in rows.iter().filter(|row| row.spec.get("objectStore").is_none()) {
        Resource { namespace, name: row.name }.delete()?;
    }
    checks.check("nothing is left of any of them", || {
        let left = || rows.iter().filter_map(|row| Resource { namespace, name: row.name }.parts().ok()).flatten();
        eventually("end", || left().next().is_none()).with_context(|| left().collect::<Vec<_>>().join(", "))
    });
    Ok(())
}

/// There is no such bucket, and from here nobody even reaches where it would be.
fn leaves_its_bucket(namespace: &Namespace<'_>, row: &Row) -> Result<()> {
    let resource = Resource { namespace, name: row.name };
    namespace.kubectl(&format!("delete kafkacluster {} --wait=false", row.name))?;
    eventually("a bucket that is named", || {
        resource.read().is_ok_and(|resource| {
            let status = &resource["status"];
            status["operation"].to_string().contains("PurgingBucket")
                && status["blockedBy"].to_string().contains("Retain")
        })
    })
    .with_context(|| resource.read().unwrap_or_default()["status"].to_string())?;
    let leave = r#"patch kafkacluster NAME --type=merge --patch={"spec":{"deletionPolicy":"Retain"}}"#;
    namespace.kubectl(&leave.replace("NAME", row.name))?;
    namespace.kubectl(&format!("wait kafkacluster {} --for=delete --timeout=60s", row.name)).map(drop)
}

fn deleted_with_volumes(name: &str, mut spec: Value) -> Value {
    spec["deletionPolicy"] = json!("Delete");
    manifest(name, spec)
}

fn set_default_class(namespace: &Namespace<'_>, is_default: bool) -> Result<()> {
    let mark = json!({ "metadata": { "annotations": {
        "storageclass.kubernetes.io/is-default-class": is_default.to_string(),
    } } });
    namespace.kubectl(&format!("patch storageclass folder --type=merge --patch={mark}")).map(drop)
}

fn is_said(namespace: &Namespace<'_>, row: &Row) -> Result<()> {
    let resource = Resource { namespace, name: row.name };
    let (condition, status) = row.condition;
    let mut last = Value::Null;
    let said = eventually("such a condition", || {
        last = resource.read().unwrap_or_default();
        let found = condition_of(&last, condition);
        let blocked_by = last["status"]["blockedBy"].to_string();
        found["status"] == status && found["reason"] == row.reason && blocked_by.contains(row.named)
    });
    said.with_context(|| last["status"].to_string())?;
    let of_it = format!("--field-selector=involvedObject.name={},type=Warning", row.name);
    let events = format!("get events {of_it} --output=jsonpath={{.items[*].reason}}");
    eventually("an Event", || namespace.kubectl(&events).is_ok_and(|reasons| reasons.contains(row.reason)))?;
    if row.condition == REJECTED {
        let made = resource.parts()?;
        ensure!(made.is_empty(), "it is half made: {}", made.join(", "));
    }
    Ok(())
}

/// Waits for a while on purpose: what is counted is what happens in it.
fn is_quiet(namespace: &Namespace<'_>, operators: &Operators<'_>, rows: &[Row]) -> Result<()> {
    // The back-off of a pod changes its status by itself.
    let still = || -> Result<Vec<Value>> {
        let rejected = rows.iter().filter(|row| row.condition == REJECTED);
        rejected
            .map(|row| Ok(Resource { namespace, name: row.name }.read()?["metadata"]["resourceVersion"].clone()))
            .collect()
    };
    let (versions, count) = (still()?, operators.reconciliations()?);
    std::thread::sleep(QUIET);
    let made = operators.reconciliations()? - count;
    ensure!(still()? == versions, "a resource was written");
    let most = QUIET_RECONCILIATIONS * u64::try_from(rows.len())?;
    ensure!(made <= most, "{made} reconciliations in {} s", QUIET.as_secs());
    Ok(())
}

fn goes_on(namespace: &Namespace<'_>, row: &Row) -> Result<()> {
    let resource = Resource { namespace, name: row.name };
    match &row.repair {
        Repair::Apply(object) => namespace.apply(&object.to_string())?,
        Repair::Change(spec) => namespace.apply(&deleted_with_volumes(row.name, spec.clone()).to_string())?,
        Repair::Delete(object) => namespace.kubectl(&format!("delete {object} --timeout=60s")).map(drop)?,
        Repair::Default => set_default_class(namespace, true)?,
    }
    resource.becomes("Accepted", "True")?;
    // What waits for an object store or for an identity of a cloud would wait here too.
    if row.spec["objectStore"].is_null() { resource.is_ready() } else { Ok(()) }
}

/// On the class that was made without expansion.
fn cannot_grow(namespace: &Namespace<'_>) -> Result<()> {
    let resource = Resource { namespace, name: "pkc-class" };
    let pod = resource.pod()?;
    let larger = json!({ "nodePools": [{ "storage": { "class": "rigid", "size": "2Gi" } }] });
    namespace.apply(&deleted_with_volumes(resource.name, larger).to_string())?;
    resource.becomes("Accepted", "False")?;
    let status = resource.read()?;
    ensure!(condition_of(&status, "Accepted")["reason"] == "ExpansionUnsupported", "{status}");
    ensure!(condition_of(&status, "Ready")["status"] == "True", "its member does not serve any more: {status}");
    namespace.kubectl(r#"patch storageclass rigid --type=merge --patch={"allowVolumeExpansion":true}"#)?;
    let capacity = "get pvc data-pkc-class-main-0 --output=jsonpath={.status.capacity.storage}";
    eventually("2Gi", || namespace.kubectl(capacity).is_ok_and(|size| size == "2Gi"))?;
    ensure!(resource.pod()? == pod, "its pod was replaced");
    Ok(())
}
