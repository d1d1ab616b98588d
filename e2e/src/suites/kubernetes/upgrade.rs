//! From the previous version of both charts to today's and back, under clients that go on.
//!
//! What is upgraded are the charts and the tag of the image: the program in both images is today's, for there is no released one.
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};

use super::account::{Account, id, text};
use super::release::Release;
use super::{Checks, LIMIT, Suite, eventually, on_kubernetes};
use crate::context::Context;
use crate::image::{Image, millstream_name, millstream_tagged};
use crate::kube::Kubernetes;
use crate::kube::command::run as run_command;
use crate::kube::platform::wait_for_brokers;
use crate::outcome::Outcome;
use crate::{millstream, need};

pub const SUITE: Suite = Suite {
    name: "upgrade",
    about: "from the previous version of both charts to today's and back, under clients that go on",
    needs: need::KUBERNETES,
    run,
};

const VALUES: &str = "development.enabled=true,controlPlane.replicas=1";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const PREVIOUS: &str = "0.1.0-previous";
/// As UPGRADING.md says, and the image of the new version.
const UPGRADE: &str = "upgrade millstream CHART --reset-then-reuse-values --set=image.tag= --wait --timeout=180s";
const ROLLBACK: &str = "rollback millstream 1 --wait --timeout=180s";
/// The authorities of all physical clusters, as the notes of the chart say.
const AUTHORITIES: &str = "--output=go-template={{range .items}}{{with index .data \"ca.crt\"}}{{.}}{{end}}{{end}}";

fn run(context: &Context) -> Result<Outcome> {
    on_kubernetes(context, 1, |kubernetes, checks| {
        load_previous_image(context, kubernetes)?;
        let release = Release::new(context, kubernetes, VALUES);
        release.namespace.create_restricted()?;
        release.install_previous(PREVIOUS)?;
        wait_for_brokers(kubernetes, PREVIOUS)?;
        let account = Account::open(&release)?;
        let tenants = [Tenant::create(&account, "basic")?, Tenant::create(&account, "dedicated")?];
        open_client(&release)?;
        for tenant in &tenants {
            tenant.client(&release, "topic create tweets", "")?;
        }
        changes_version(
            &release,
            &tenants,
            checks,
            &Change { to: VERSION, commands: &["upgrade millstream-crds CRDS", UPGRADE] },
        );
        changes_version(&release, &tenants, checks, &Change { to: PREVIOUS, commands: &[ROLLBACK] });
        checks.check("the first key is the one of the first installation", || {
            ensure!(Account::first_key(&release)? == account.key, "it changed");
            Ok(())
        });
        Ok(())
    })
}

struct Change<'a> {
    /// The version that brokers run afterwards.
    to: &'a str,
    /// For helm.
    commands: &'a [&'a str],
}

/// Changes the version while each tenant writes one record after another, each by a client of its own that logs in anew.
fn changes_version(release: &Release<'_>, tenants: &[Tenant], checks: &mut Checks<'_>, change: &Change<'_>) {
    let Change { to, commands } = change;
    let over = AtomicBool::new(false);
    let (outcome, acknowledged) = std::thread::scope(|scope| {
        let writers: Vec<_> =
            tenants.iter().map(|tenant| scope.spawn(|| tenant.write_until(release, to, &over))).collect();
        let outcome = commands.iter().try_for_each(|command| release.helm(command).map(drop));
        let outcome = outcome.and_then(|()| wait_for_brokers(release.namespace.kubernetes, to));
        over.store(true, Ordering::Relaxed);
        let acknowledged: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap_or_default()).collect();
        (outcome, acknowledged)
    });
    checks.check(&format!("control plane and brokers change to {to}"), || {
        outcome?;
        let images =
            "get pods --selector=app.kubernetes.io/name --output=jsonpath={.items[*].spec.containers[*].image}";
        let images = release.kubectl(images)?;
        let other: Vec<_> = images.split(' ').filter(|image| *image != millstream_tagged(to)).collect();
        ensure!(other.is_empty(), "pods run {}", other.join(", "));
        Ok(())
    });
    for (tenant, records) in tenants.iter().zip(&acknowledged) {
        checks.check(&format!("the {} cluster loses no acknowledged record on the way to {to}", tenant.kind), || {
            ensure!(!records.is_empty(), "none was acknowledged");
            tenant.has(release, records)
        });
        checks.check(&format!("the key of the {} cluster works with {to}", tenant.kind), || {
            let record = format!("after-{to}");
            tenant.client(release, "topic produce tweets", &record)?;
            tenant.has(release, &[record])
        });
    }
}

/// A cluster, and a key that may do everything on it.
struct Tenant {
    kind: &'static str,
    /// Flags of the program that name the cluster and the key.
    connection: Vec<String>,
}

impl Tenant {
    fn create(account: &Account<'_>, kind: &'static str) -> Result<Self> {
        let made = account.run(&format!("cluster create {kind} --type {kind}"))?;
        let cluster = id(&made)?;
        let owner = id(&account.run(&format!("service-account create {kind}"))?)?;
        account
            .run(&format!("role-binding create --principal {owner} --role CloudClusterAdmin --cluster {cluster}"))?;
        let key = account.run(&format!("api-key create --resource {cluster} --service-account {owner}"))?;
        let connection = [
            ("--bootstrap-server", text(&made, "/spec/kafka_bootstrap_endpoint")?),
            ("--kafka-api-key", id(&key)?),
            ("--kafka-api-secret", text(&key, "/spec/secret")?),
            ("--cluster", cluster),
            ("--tls-ca", "/authority/ca.crt".to_owned()),
            ("--url", "http://millstream.millstream.svc:8080".to_owned()),
        ];
        let connection = connection.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
        Ok(Self { kind, connection: connection.collect() })
    }

    /// A command of the program in the client's pod.
    fn client(&self, release: &Release<'_>, arguments: &str, input: &str) -> Result<String> {
        let arguments = arguments.split(' ').map(str::to_owned).chain(self.connection.iter().cloned());
        release.namespace.millstream("client", arguments, input)
    }

    /// Writes one record after another until it is told that it is over; those that were acknowledged.
    fn write_until(&self, release: &Release<'_>, name: &str, over: &AtomicBool) -> Vec<String> {
        let mut acknowledged = Vec::new();
        for number in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let record = format!("{name}-{number}");
            if self.client(release, "topic produce tweets", &record).is_ok() {
                acknowledged.push(record);
            }
        }
        acknowledged
    }

    fn has(&self, release: &Release<'_>, records: &[String]) -> Result<()> {
        let mut lost = Vec::new();
        let complete = eventually("records", || {
            let read = self.client(release, "topic consume tweets --from-beginning --exit-at-end", "");
            let read = read.unwrap_or_default();
            lost = records.iter().filter(|record| !read.lines().any(|line| line == *record)).cloned().collect();
            lost.is_empty()
        });
        complete.with_context(|| format!("{} of {} are not there: {}", lost.len(), records.len(), lost.join(", ")))
    }
}

/// A pod that trusts the brokers of every physical cluster.
fn open_client(release: &Release<'_>) -> Result<()> {
    let namespace = &release.namespace;
    let authorities =
        run_command(namespace.command().args(["get", "configmaps", "--selector=millstream.dev/cluster", AUTHORITIES]))?;
    let content = format!("--from-literal=ca.crt={authorities}");
    run_command(namespace.command().args(["create", "configmap", "authorities", &content]))?;
    let manifest = std::fs::read_to_string(release.context.e2e_dir("kubernetes").join("client.yaml"))?;
    let manifest = manifest.replace("IMAGE", &millstream_name()).replace("CONFIG_MAP", "authorities");
    namespace.apply(&manifest)?;
    release.kubectl(&format!("wait pod/client --for=condition=Ready --timeout={}s", LIMIT.as_secs())).map(drop)
}

fn load_previous_image(context: &Context, kubernetes: &Kubernetes) -> Result<()> {
    let folder = context.build_dir("kubernetes")?;
    let mut image = Image::of_millstream(&millstream::binary(context), &folder)?;
    image.name = millstream_tagged(PREVIOUS);
    let archive = folder.join("millstream-previous.tar");
    image.write_archive(&archive)?;
    kubernetes.load_image(&archive)
}
