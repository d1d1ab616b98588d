//! The definition of the resource as the API server understands it. What it refuses is the table `operator/src/crd/rules.json`,
//! which the operator's own tests evaluate without an API server.
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::Checks;
use super::super::release::Release;
use super::resource::{Resource, manifest, refusal};
use crate::kube::command::feed;

const TABLE: &str = "operator/src/crd/rules.json";

pub fn check(release: &Release<'_>, checks: &mut Checks<'_>) -> Result<()> {
    let namespace = &release.namespace;
    let text = std::fs::read_to_string(release.context.repository.join(TABLE))?;
    let table: Value = serde_json::from_str(&text)?;
    let sample = &table["sample"];
    // The Secret of its object store does not exist, so nothing is made of it.
    let name = sample["metadata"]["name"].as_str().context("the sample has a name")?;
    let sample_resource = Resource { namespace, name };
    namespace.apply(&sample.to_string())?;
    for case in table["cases"].as_array().context("a table has cases")? {
        let said = |field: &str| case[field].as_str().unwrap_or_default().to_owned();
        let (rule, when, field, refused) = (said("rule"), said("when"), said("field"), said("refused"));
        let verdict = if refused.is_empty() { "accepted" } else { "refused" };
        checks.check(&format!("{rule}: {when} with {field} = {}, {verdict}", case["value"]), || {
            let object = changed(sample, &field, &case["value"])?;
            let said = match when.as_str() {
                "created" => refusal(namespace, "create", &renamed(object, name))?,
                _ => refusal(namespace, "replace", &object)?,
            };
            let as_expected = if refused.is_empty() { said.is_empty() } else { said.contains(&refused) };
            ensure!(as_expected, "expected {refused:?}, got {said:?}");
            Ok(())
        });
    }
    checks.check("what is left out has the documented defaults", || {
        let mut command = namespace.command();
        command.args(["create", "--dry-run=server", "--output=json", "--filename=-"]);
        let least = manifest("pkc-least", json!({ "image": { "pullPolicy": null } }));
        let made: Value = serde_json::from_slice(&feed(&mut command, &least.to_string())?.stdout)?;
        let defaults = [
            ("/spec/deletionPolicy", json!("Retain")),
            ("/spec/image/pullPolicy", json!("IfNotPresent")),
            ("/spec/listeners/external", json!({ "type": "none", "port": 9092 })),
            ("/spec/maintenance/paused", json!(false)),
            ("/spec/monitoring/podMonitor", json!(false)),
        ];
        for (pointer, value) in defaults {
            ensure!(made.pointer(pointer) == Some(&value), "{pointer} is {:?}", made.pointer(pointer));
        }
        Ok(())
    });
    checks.check("a field that nobody reads is refused, and pruned where nobody asks for more", || {
        let typo = manifest("pkc-typo", json!({ "deletionpolicy": "Delete" }));
        let said = refusal(namespace, "create", &typo)?;
        ensure!(said.contains(r#"unknown field "spec.deletionpolicy""#), "{said}");
        let mut command = namespace.command();
        command.args(["create", "--dry-run=server", "--validate=ignore", "--output=json", "--filename=-"]);
        let made: Value = serde_json::from_slice(&feed(&mut command, &typo.to_string())?.stdout)?;
        ensure!(made["spec"]["deletionpolicy"].is_null() && made["spec"]["version"].is_string(), "{made}");
        Ok(())
    });
    checks.check("kubectl get shows whether it is ready, why not, and its version", || {
        sample_resource.becomes("Accepted", "False")?;
        let shown = namespace.kubectl(&format!("get kc {name}"))?;
        for word in ["READY", "REASON", "VERSION", "AGE", "False", "SecretMissing", "0.1.0"] {
            ensure!(shown.contains(word), "{word} is not in {shown}");
        }
        Ok(())
    });
    checks.check("spec and status are written apart from each other", || {
        let before = sample_resource.read()?;
        sample_resource.patch_kind("kafkacluster", "", &json!({ "status": { "operation": "mine" } }))?;
        let change = r#"--patch={"spec":{"version":"0.1.7"}}"#;
        namespace.kubectl(&format!("patch kafkacluster {name} --subresource=status --type=merge {change}"))?;
        let after = sample_resource.read()?;
        ensure!(after["spec"] == before["spec"], "the spec changed: {}", after["spec"]);
        ensure!(after["status"]["operation"] != "mine", "the status changed");
        ensure!(after["metadata"]["generation"] == before["metadata"]["generation"], "the generation changed");
        Ok(())
    });
    sample_resource.delete()
}

/// The sample exists: what is created has another name, unless the name is what is tried.
fn renamed(mut object: Value, name: &str) -> Value {
    if object["metadata"]["name"] == name {
        object["metadata"]["name"] = json!("pkc-created");
    }
    object
}

fn changed(sample: &Value, pointer: &str, value: &Value) -> Result<Value> {
    let mut object = sample.clone();
    let (parent, name) = pointer.rsplit_once('/').context("a field is a JSON pointer")?;
    match (object.pointer_mut(parent).context("the sample has the field's parent")?, value) {
        (Value::Object(parent), Value::Null) => drop(parent.remove(name)),
        (Value::Array(parent), value) => parent.push(value.clone()),
        (parent, value) => parent[name] = value.clone(),
    }
    Ok(object)
}
