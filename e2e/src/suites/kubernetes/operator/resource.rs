//! A KafkaCluster of a suite: what is applied, and what its status says.
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::{LIMIT, Namespace, eventually};
use crate::image;
use crate::kube::command::feed;

/// Kinds of what a physical cluster consists of.
pub const PARTS: &str = "statefulsets,pods,services,configmaps,secrets,serviceaccounts,persistentvolumeclaims,networkpolicies,\
    poddisruptionbudgets";

/// A small cluster, with these changes to its spec; null takes a field away.
pub fn manifest(name: &str, changes: Value) -> Value {
    let image = image::millstream_name();
    let (repository, version) = image.rsplit_once(':').unwrap_or((&image, "0.1.0"));
    let mut spec = json!({
        "physicalClusterId": name,
        "version": version,
        "image": { "repository": repository, "pullPolicy": "Never" },
        "nodePools": [{
            "name": "main", "roles": ["broker", "controller"], "replicas": 1,
            "storage": { "class": "folder", "size": "1Gi" },
            "resources": { "requests": { "cpu": "10m", "memory": "64Mi" } },
        }],
    });
    merge(&mut spec, changes);
    json!({ "apiVersion": "millstream.dev/v1alpha1", "kind": "KafkaCluster", "metadata": { "name": name }, "spec": spec })
}

/// Puts `changes` into `object`: lists of one length place by place.
fn merge(object: &mut Value, changes: Value) {
    match (object, changes) {
        (Value::Object(object), Value::Object(changes)) => {
            for (name, value) in changes {
                if value.is_null() {
                    object.remove(&name);
                } else {
                    merge(object.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(object), Value::Array(changes)) if object.len() == changes.len() => {
            object.iter_mut().zip(changes).for_each(|(object, change)| merge(object, change));
        }
        (object, changes) => *object = changes,
    }
}

/// A resource by its name.
#[derive(Clone, Copy)]
pub struct Resource<'a> {
    pub namespace: &'a Namespace<'a>,
    pub name: &'a str,
}

impl Resource<'_> {
    /// Applies it as a person would.
    pub fn apply(&self, changes: Value) -> Result<()> {
        self.namespace.apply(&manifest(self.name, changes).to_string())
    }

    pub fn read(&self) -> Result<Value> {
        self.read_kind("kafkacluster", "")
    }

    /// An object whose name is that of the cluster with this ending.
    pub fn read_kind(&self, kind: &str, ending: &str) -> Result<Value> {
        let text = self.namespace.kubectl(&format!("get {kind} {}{ending} --output=json", self.name))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// What `kubectl patch --type=merge` does.
    pub fn patch_kind(&self, kind: &str, ending: &str, change: &Value) -> Result<()> {
        let mut command = self.namespace.command();
        command.args(["patch", kind, &format!("{}{ending}", self.name), "--type=merge", &format!("--patch={change}")]);
        crate::kube::command::run(&mut command).map(drop)
    }

    /// Waits until a condition has this status.
    pub fn becomes(&self, condition: &str, status: &str) -> Result<()> {
        let mut last = Value::Null;
        let reached = eventually("such a condition", || {
            last = self.read().unwrap_or_default();
            let about_this_spec = last["status"]["observedGeneration"] == last["metadata"]["generation"];
            about_this_spec && condition_of(&last, condition)["status"] == status
        });
        reached.with_context(|| format!("{}: {condition} is not {status}: {}", self.name, last["status"]))
    }

    pub fn is_ready(&self) -> Result<()> {
        self.becomes("Ready", "True")?;
        self.becomes("Progressing", "False")
    }

    /// The uid of its pod.
    pub fn pod(&self) -> Result<String> {
        let uid = format!("get pod {}-main-0 --output=jsonpath={{.metadata.uid}}", self.name);
        let uid = self.namespace.kubectl(&uid)?;
        ensure!(!uid.is_empty(), "{} has no pod", self.name);
        Ok(uid)
    }

    /// Everything that it consists of, as `kind/name`.
    pub fn parts(&self) -> Result<Vec<String>> {
        let label = format!("--selector=millstream.dev/cluster={}", self.name);
        let names = self.namespace.kubectl(&format!("get {PARTS} {label} --output=name"))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// The versions of the resource and of everything that it consists of: they change at every write.
    pub fn versions(&self) -> Result<String> {
        let label = format!("--selector=millstream.dev/cluster={}", self.name);
        let version = "--output=jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion} {end}";
        let mut command = self.namespace.command();
        let parts = crate::kube::command::run(command.args(["get", PARTS, &label, version]))?;
        Ok(format!("{parts}{}", self.read()?["metadata"]["resourceVersion"]))
    }

    pub fn delete(&self) -> Result<()> {
        let limit = LIMIT.as_secs();
        self.namespace.kubectl(&format!("delete kafkacluster {} --timeout={limit}s", self.name)).map(drop)
    }
}

/// A condition of a resource.
pub fn condition_of(resource: &Value, kind: &str) -> Value {
    let conditions = resource["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}

/// What `kubectl` says when the API server refuses this; empty if it accepts.
pub fn refusal(namespace: &Namespace<'_>, arguments: &str, object: &Value) -> Result<String> {
    let mut command = namespace.command();
    command.args(arguments.split(' ')).args(["--dry-run=server", "--filename=-"]);
    let output = feed(&mut command, &object.to_string())?;
    Ok(if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stderr).into_owned() })
}
