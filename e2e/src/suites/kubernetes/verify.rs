//! `helm test`: it passes where the service works, and where it does not its log says what is wrong. And the commands of the notes.
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::release::Release;
use super::{Checks, eventually};

/// Long enough for the first broker of a new installation.
const TEST: &str = "test millstream --logs --timeout=240s";

pub fn passes(release: &Release<'_>) -> Result<()> {
    let log = release.helm(TEST)?;
    for step in ["api", "cluster", "key", "topic", "produce", "consume", "clean up"] {
        ensure!(log.contains(&format!("ok    {step}")), "step {step} is not in {log}");
    }
    let left = release.kubectl("get roles,serviceaccounts --output=name")?;
    ensure!(!left.contains("verify"), "left: {left}");
    Ok(())
}

/// Breaks the service in ways that are usual, one after the other, and repairs it.
pub fn says_what_is_wrong(release: &Release<'_>, checks: &mut Checks<'_>) {
    checks.check("without its broker `helm test` fails and says where to look", || {
        let name = release.kubectl("get statefulsets --output=jsonpath={.items[0].metadata.name}")?;
        let cluster = name.strip_suffix("-broker").context("the StatefulSet has another name")?;
        release.kubectl("scale deployment millstream-operator --replicas=0")?;
        release.kubectl(&format!("scale statefulset {name} --replicas=0"))?;
        release.kubectl(&format!("wait pod/{name}-0 --for=delete --timeout=60s"))?;
        let outcome = fails_with(release, &["FAIL  cluster", "kubectl get kafkaclusters", "ok    clean up"]);
        release.kubectl("scale deployment millstream-operator --replicas=2")?;
        release.kubectl(&format!("scale statefulset {name} --replicas=1"))?;
        eventually("a broker that is ready", || {
            release.kubectl(&format!("wait kafkacluster/{cluster} --for=condition=Ready --timeout=1s")).is_ok()
                && release.kubectl(&format!("wait pod/{name}-0 --for=condition=Ready --timeout=1s")).is_ok()
        })?;
        outcome
    });
    checks.check("with a wrong key `helm test` fails at its first step", || {
        let secret = "secret millstream-first-credentials";
        let before = release.kubectl(&format!("get {secret} --output=jsonpath={{.data.api-secret}}"))?;
        let patch =
            |value: &str| release.kubectl(&format!(r#"patch {secret} --patch={{"data":{{"api-secret":"{value}"}}}}"#));
        patch("d3Jvbmc=")?;
        let outcome = fails_with(release, &["FAIL  api", "check the key and its secret"]);
        patch(&before)?;
        outcome
    });
}

fn fails_with(release: &Release<'_>, words: &[&str]) -> Result<()> {
    ensure!(release.helm(TEST).is_err(), "helm test passed");
    let log = release.kubectl("logs pod/millstream-verify")?;
    for word in words {
        ensure!(log.contains(word), "{word} is not in {log}");
    }
    Ok(())
}

/// Runs every command of the notes, as somebody would who copies them one after the other.
pub fn notes_are_true(release: &Release<'_>) -> Result<()> {
    let notes = release.helm("get notes millstream")?;
    let commands: Vec<&str> = notes.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    ensure!(commands.len() >= 8, "only {} commands are in {notes}", commands.len());
    // A command in the background ends with the shell.
    let script = format!("set -e -o pipefail\ntrap 'kill $(jobs -p)' EXIT\n{}\n", commands.join("\n"));
    let folder = release.context.build_dir("kubernetes")?;
    let kubernetes = release.namespace.kubernetes;
    let path = format!("{}:{}", kubernetes.tools().directory().display(), std::env::var("PATH")?);
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(&folder).env("PATH", path);
    let output = shell.env("KUBECONFIG", kubernetes.layout().kubeconfig()).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for word in ["successfully rolled out", "api-secret: ", "admin-password: ", "EnvironmentList", "pkc-"] {
        ensure!(said.contains(word), "{word} is not in {said}");
    }
    let authority = std::fs::read_to_string(folder.join("millstream-ca.crt"))?;
    ensure!(authority.contains("BEGIN CERTIFICATE"), "no certificate is in {authority}");
    Ok(())
}
