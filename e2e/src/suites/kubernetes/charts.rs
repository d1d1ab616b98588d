//! Both charts installed with helm: what they refuse, that clusters appear and clients reach them, that they roll, grow and go.
use anyhow::{Context as _, Result, bail, ensure};

use super::account::{Account, Dedicated};
use super::release::Release;
use super::{Checks, Suite, eventually, monitoring, on_kubernetes, values, verify};
use crate::context::Context;
use crate::need;
use crate::outcome::Outcome;

pub const SUITE: Suite = Suite {
    name: "charts",
    about: "both charts on a real Kubernetes, in development mode: install, clusters, upgrade, uninstall",
    needs: need::KUBERNETES,
    run,
};

const NODES: u8 = 2;
const VALUES: &str = "development.enabled=true,controlPlane.replicas=1";
/// Kinds of what a physical cluster consists of.
const PARTS: &str =
    "kafkaclusters,statefulsets,pods,services,configmaps,secrets,persistentvolumeclaims,networkpolicies";
const RECORDS: &[&str] = &["one", "two"];

fn run(context: &Context) -> Result<Outcome> {
    on_kubernetes(context, NODES, |kubernetes, checks| {
        let release = Release::new(context, kubernetes, VALUES);
        install(&release, checks);
        clusters(&release, checks)
    })
}

/// What the charts refuse, and what they start.
fn install(release: &Release<'_>, checks: &mut Checks<'_>) {
    values::check(release, checks);
    checks.check("helm installs control plane and operator into a restricted namespace", || {
        release.namespace.create_restricted()?;
        release.install()
    });
    checks.check("the agent makes a shared physical cluster, and its broker becomes ready", || {
        eventually("a physical cluster that is ready", || {
            release.kubectl("get kafkaclusters --output=name").is_ok_and(|names| !names.is_empty())
                && release.kubectl("wait kafkaclusters --all --for=condition=Ready --timeout=1s").is_ok()
        })
    });
    checks.check("`helm test` passes and leaves nothing that may do anything", || verify::passes(release));
    checks.check("every command of the notes works as it is", || verify::notes_are_true(release));
    verify::says_what_is_wrong(release, checks);
}

fn clusters(release: &Release<'_>, checks: &mut Checks<'_>) -> Result<()> {
    let account = Account::open(release)?;
    checks.check("a Basic cluster needs nothing of Kubernetes", || {
        let before = release.kubectl("get statefulsets --output=name")?;
        account.run("cluster create basic")?;
        ensure!(release.kubectl("get statefulsets --output=name")? == before, "a StatefulSet came");
        Ok(())
    });
    let mut dedicated = None;
    checks.check("a Dedicated cluster appears, and records go through it by its name and with TLS", || {
        let cluster = dedicated.insert(Dedicated::create(&account)?);
        cluster.open_client()?;
        cluster.client("topic create tweets", "")?;
        cluster.client("topic produce tweets", "one\ntwo\n")?;
        cluster.has("tweets", RECORDS)
    });
    let Some(dedicated) = dedicated else { bail!("there is no Dedicated cluster to go on with") };
    checks.check("a restart that is asked for rolls the broker, which comes back with its records", || {
        let before = dedicated.pod()?;
        let asked = r#"{"spec":{"maintenance":{"restartedAt":"2026-01-01T00:00:00Z"}}}"#;
        release.kubectl(&format!("patch kafkacluster {} --type=merge --patch={asked}", dedicated.name))?;
        eventually("another pod", || dedicated.pod().is_ok_and(|pod| pod != before))?;
        dedicated.is_ready()?;
        dedicated.has("tweets", RECORDS)
    });
    checks.check("a second CKU makes its volume grow", || {
        account.run(&format!("cluster update {} --cku 2", dedicated.id))?;
        let size = "--output=jsonpath={.status.capacity.storage}";
        let claim = format!("get pvc data-{}-broker-0 {size}", dedicated.name);
        eventually("2Gi", || release.kubectl(&claim).is_ok_and(|size| size == "2Gi"))?;
        dedicated.is_ready()?;
        dedicated.has("tweets", RECORDS)
    });
    checks.check("an upgrade without a change keeps the credentials and every pod", || {
        let pods = "get pods --output=jsonpath={.items[*].metadata.uid}";
        let before = release.kubectl(pods)?;
        release.upgrade()?;
        ensure!(release.kubectl(pods)? == before, "pods were replaced");
        ensure!(Account::first_key(release)? == account.key, "the first key changed");
        Ok(())
    });
    monitoring::check(release, checks);
    checks.check("a deleted Dedicated cluster leaves nothing", || {
        account.run(&format!("cluster delete {} --force", dedicated.id))?;
        release.kubectl("delete pod client --grace-period=1")?;
        let mut left = String::new();
        let gone = eventually("nothing", || {
            let all = release.kubectl(&format!("get {PARTS} --output=name")).unwrap_or_else(|error| error.to_string());
            left = all.lines().filter(|name| name.contains(&dedicated.name)).collect::<Vec<_>>().join(", ");
            left.is_empty()
        });
        gone.with_context(|| format!("left: {left}"))
    });
    checks.check("uninstalled, the chart leaves resources and what opens the database", || {
        release.helm("uninstall millstream --wait")?;
        let left = release.kubectl("get kafkaclusters,secrets --output=name")?;
        for kept in ["kafkacluster.millstream.dev/pkc-", "millstream-installation", "millstream-first-credentials"] {
            ensure!(left.contains(kept), "{kept} is not in {left}");
        }
        Ok(())
    });
    Ok(())
}
