//! One node: a process tree in network, mount and pid namespaces of its own. Killing its first process ends everything and removes
//! every mount, as a power cut would; a node that starts again finds its images and volumes.
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::command::run;
use super::layout::{Layout, Node, namespace_file};
use super::process::Remembered;
use super::tools::Tools;
use super::{cgroups, node_files};
use crate::process::wait_until;

const CONTAINERD_LIMIT: Duration = Duration::from_secs(30);
const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
const INIT: &str = include_str!("../../kube/node-init.sh");
/// The kubelet waits for this file.
const IMAGES_READY: &str = "images-ready";

/// Starts a node, anew or after `kill`; its kubelet comes up on its own.
pub fn start(layout: &Layout, tools: &Tools, node: Node) -> Result<()> {
    let directory = layout.node(node);
    node_files::write(layout, node)?;
    cgroups::create(node)?;
    cgroups::sweep(node)?;
    let init = directory.join("node-init.sh");
    std::fs::write(&init, INIT)?;
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace_file(&node.machine_name()).display()));
    command.args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"]).arg(&init);
    command.env("NODE_DIR", &directory).env("NODE", node.name()).env("ADDRESS", node.address());
    command.env("ZONE", node.zone()).env("KUBE", tools.kube()).env("KUBECONFIGS", layout.credentials());
    let process = process(layout, node);
    process.start(&command)?;
    let ready = wait_until(CONTAINERD_LIMIT, || {
        process.pid().is_none() || containerd(layout, node).is_ok_and(|mut ctr| run(ctr.arg("version")).is_ok())
    });
    ensure!(ready && process.pid().is_some(), "containerd does not answer on {}: {}", node.name(), process.log_tail());
    for entry in std::fs::read_dir(layout.images())? {
        load_image(layout, node, &entry?.path())?;
    }
    std::fs::write(directory.join(IMAGES_READY), "")?;
    Ok(())
}

/// Ends every process of the node at once.
pub fn kill(layout: &Layout, node: Node) -> Result<()> {
    process(layout, node).kill()?;
    match std::fs::remove_file(layout.node(node).join(IMAGES_READY)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Imports an image archive.
pub fn load_image(layout: &Layout, node: Node, archive: &Path) -> Result<()> {
    let mut ctr = containerd(layout, node)?;
    run(ctr.args(["--namespace", "k8s.io", "images", "import"]).arg(archive)).map(drop)
}

/// A command inside of the node, such as `sh -c 'kill -9 $(cat /run/kubelet.pid)'`.
pub fn inside(layout: &Layout, node: Node, program: &str) -> Result<Command> {
    let first = *process(layout, node).children().first().with_context(|| format!("{} does not run", node.name()))?;
    let mut command = Command::new("nsenter");
    command.args(["--target", &first.to_string(), "--mount", "--pid", "--net", program]);
    Ok(command)
}

pub fn process(layout: &Layout, node: Node) -> Remembered {
    Remembered::named(layout, &node.name())
}

fn containerd(layout: &Layout, node: Node) -> Result<Command> {
    let mut ctr = inside(layout, node, "ctr")?;
    ctr.args(["--address", CONTAINERD_SOCKET]);
    Ok(ctr)
}
