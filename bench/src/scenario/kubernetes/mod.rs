//! Millstream on a real Kubernetes: how soon there is a first record after `helm install` and after the POST of a cluster, and what an
//! operator costs that nobody talks to. Millstream only.
mod client;
mod clusters;
mod operator;

use std::time::Instant;

use anyhow::{Context as _, Result};
use millstream_e2e::image::Image;
use millstream_e2e::kube::{self, Kubernetes, Logs, Owner};
use millstream_e2e::suites::kubernetes::release::Release;

use self::client::Client;
use super::table::{Goal, Line};
use crate::histogram::Histogram;
use crate::report::Report;
use crate::surroundings;
use crate::workbench::Workbench;

const NODES: u8 = 3;
const VALUES: &str = "development.enabled=true,controlPlane.replicas=1";

pub fn run(workbench: &Workbench, report: &mut Report) -> Result<()> {
    report.paragraph(
        "A Kubernetes of three nodes on this machine, which shares the two cores with everything: etcd, API server, kubelets, containerd. The image \
         is on the nodes; both charts in development mode, the control plane on SQLite. Times are those of commands that a person types, one \
         process each: `millstream` on this machine creates cluster, service account, role binding and key, then a topic, then produces a record \
         over TLS by the name that the API tells; what fails is tried again after 50 ms.",
    );
    let folder = workbench.context.build_dir("kubernetes")?;
    let archive = folder.join("millstream.tar");
    Image::of_millstream(&workbench.binary, &folder)?.write_archive(&archive)?;
    let kubernetes = Kubernetes::start(&workbench.context.repository, NODES, Owner::ThisProcess)?;
    let mut lines = Vec::new();
    let measured = kubernetes.load_image(&archive).and_then(|()| measure(&kubernetes, workbench, &mut lines));
    kube::stop(Logs::Kept)?;
    Line::write_table(report, "Kubernetes", lines);
    measured
}

fn measure(kubernetes: &Kubernetes, workbench: &Workbench, lines: &mut Vec<Line>) -> Result<()> {
    let release = Release::new(&workbench.context, kubernetes, VALUES);
    progress("helm install");
    let started = Instant::now();
    release.namespace.create_restricted()?;
    release.install()?;
    let installed = millis_since(started);
    let client = Client::new(&release, kubernetes)?;
    client.first_record("basic", started).context("after the installation")?;
    let first_record = millis_since(started);
    let once = |name: &str, millis: u64, goal: Goal| {
        let mut histogram = Histogram::default();
        histogram.record(millis * 1000);
        Line::times(name, &histogram, goal)
    };
    lines.push(once("`helm install` of both charts, waiting until all is ready", installed, Goal::None));
    lines.push(once("`helm install` to the first record of a Basic cluster", first_record, Goal::P99Below(300_000.0)));
    lines.extend(clusters::measure(&client, workbench)?);
    lines.extend(operator::measure(&client, workbench)?);
    Ok(())
}

fn millis_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn progress(text: &str) {
    eprintln!("  load average {}: {text}", surroundings::load_average());
}
