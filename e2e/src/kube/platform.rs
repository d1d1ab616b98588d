//! Millstream on a Kubernetes for development: both charts in development mode, from a program that was just built.
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::Kubernetes;
use super::command::run;
use crate::image::{Image, millstream_tagged};
use crate::process::wait_until;

/// The namespace, and the release in it.
pub const NAME: &str = "millstream";
/// Brokers that fit a small machine.
pub const SMALL_BROKERS: &str = "brokers.shared.storageGib=1,brokers.shared.cpuMillis=50,brokers.shared.memoryMib=256,\
    brokers.perCku.storageGib=1,brokers.perCku.cpuMillis=50,brokers.perCku.memoryMib=256";
const VALUES: &str = "development.enabled=true,controlPlane.replicas=1,operator.replicas=1,image.pullPolicy=Never";
const HELM_LIMIT: Duration = Duration::from_secs(180);
const BROKERS_LIMIT: Duration = Duration::from_secs(180);
/// Characters of a program's hash that tell it from every other one.
const HASH_CHARACTERS: usize = 10;

/// Puts this program onto a Kubernetes, in place of an earlier one: loads its image, installs both charts or upgrades them, and waits
/// until every broker runs it. `note` is told what begins.
pub fn deploy(
    kubernetes: &Kubernetes,
    repository: &Path,
    program: &Path,
    folder: &Path,
    note: impl Fn(&str),
) -> Result<()> {
    note("packing the image");
    let mut image = Image::of_millstream(program, folder)?;
    let tag = tag(program)?;
    image.name = millstream_tagged(&tag);
    let archive = folder.join("millstream-development.tar");
    image.write_archive(&archive)?;
    note("loading it into the nodes");
    kubernetes.load_image(&archive)?;
    let charts = repository.join("charts");
    note("installing the charts");
    helm(kubernetes, "millstream-crds", &charts.join("millstream-crds"), "")?;
    helm(kubernetes, NAME, &charts.join(NAME), &format!("{VALUES},{SMALL_BROKERS},image.tag={tag}"))?;
    note("waiting for the brokers");
    wait_for_brokers(kubernetes, &tag)
}

/// Waits until there is a physical cluster, and every one is what it should be in this version.
pub fn wait_for_brokers(kubernetes: &Kubernetes, version: &str) -> Result<()> {
    let brokers = "--output=jsonpath={range .items[*]}{.spec.version} {.metadata.generation} {.status.observedGeneration} \
        {.status.conditions[?(@.type=='Ready')].status} {.status.conditions[?(@.type=='Progressing')].status}{'\\n'}{end}";
    let mut seen = String::new();
    let all_run_it = wait_until(BROKERS_LIMIT, || {
        let get = kubectl(kubernetes).args(["get", "kafkaclusters", brokers]).output();
        seen = get.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        !seen.is_empty() && seen.lines().all(|line| runs(line, version))
    });
    ensure!(all_run_it, "not every broker runs {version} after {} s: {seen}", BROKERS_LIMIT.as_secs());
    Ok(())
}

/// What to do next, as lines for a shell; nothing if Millstream is not there.
pub fn next_steps(kubernetes: &Kubernetes) -> Option<String> {
    let address = "--output=jsonpath=http://{.spec.clusterIP}:{.spec.ports[0].port}";
    let url = run(kubectl(kubernetes).args(["get", "service", NAME, address])).ok()?;
    let secret = |key: &str| {
        format!(
            "$(kubectl -n {NAME} get secret {NAME}-first-credentials -o go-template='{{{{index .data \"{key}\" | base64decode}}}}')"
        )
    };
    Some(format!(
        "  export MILLSTREAM_URL={url}\n  export MILLSTREAM_CLOUD_API_KEY={}\n  export MILLSTREAM_CLOUD_API_SECRET={}\n  \
         millstream environment create test   # the REST API is reachable from this machine\n  \
         helm -n {NAME} test {NAME} --logs   # a record through a Basic cluster\n",
        secret("api-key"),
        secret("api-secret"),
    ))
}

/// A tag that no other program has, and that is a version of the same release.
fn tag(program: &Path) -> Result<String> {
    let bytes = std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-dev.{}", env!("CARGO_PKG_VERSION"), &digest[..HASH_CHARACTERS]))
}

/// Whether `version generation observedGeneration Ready Progressing` says that a physical cluster is what it should be.
fn runs(line: &str, tag: &str) -> bool {
    matches!(line.split(' ').collect::<Vec<_>>()[..], [version, wanted, observed, "True", "False"] if version == tag && wanted == observed)
}

fn helm(kubernetes: &Kubernetes, release: &str, chart: &Path, values: &str) -> Result<()> {
    let mut command = kubernetes.helm();
    command.args(["upgrade", "--install", release]).arg(chart).args(["--namespace", NAME, "--create-namespace"]);
    command.args(["--wait", &format!("--timeout={}s", HELM_LIMIT.as_secs()), &format!("--set={values}")]);
    run(&mut command).map(drop)
}

fn kubectl(kubernetes: &Kubernetes) -> std::process::Command {
    let mut command = kubernetes.kubectl();
    command.args(["--namespace", NAME]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_rolled_or_has_not_begun_to_be_does_not_run_the_new_program_yet() {
        assert!(runs("0.1.0-dev.a 2 2 True False", "0.1.0-dev.a"));
        let others = ["b 2 2 True False", "a 3 2 True False", "a 2 2 False False", "a 2 2 True True", "a 1   ", ""];
        for line in others.map(|line| format!("0.1.0-dev.{line}")) {
            assert!(!runs(&line, "0.1.0-dev.a"), "{line}");
        }
    }
}
