//! A real Kubernetes on this machine, from Go modules and Debian packages, without a registry, a daemon or systemd: etcd, the API
//! server, controllers, a scheduler, one to nine nodes and DNS. See docs/kubernetes-for-development.md.
//!
//! There is one per machine, for its addresses are fixed. It outlives the command that starts it and is ended by name from another one.
//! Ending works after any failure and leaves nothing behind: no process, mount, namespace, interface, cgroup or file.
pub mod cgroups;
pub mod command;
pub mod control_plane;
pub mod layout;
pub mod names;
pub mod network;
pub mod node;
mod node_files;
pub mod platform;
pub mod process;
pub mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use self::command::run;
use self::control_plane::Component;
use self::layout::{API_SERVICE_ADDRESS, CONTROL_PLANE_ADDRESS, Layout, MOST_NODES, Node};
use self::process::start_time;
use self::tools::Tools;
use crate::image::{Image, Layer};
use crate::need;
use crate::process::wait_until;

const NODES_READY_LIMIT: Duration = Duration::from_secs(120);
const MANIFESTS_LIMIT: Duration = Duration::from_secs(30);
const ETCD_STOP_LIMIT: Duration = Duration::from_secs(5);
const COREDNS_IMAGE: &str = "development.local/coredns:1";
/// Applied to every new cluster.
const MANIFESTS: &[(&str, &str)] = &[
    ("kube-proxy.yaml", include_str!("../../kube/manifests/kube-proxy.yaml")),
    ("storage-class.yaml", include_str!("../../kube/manifests/storage-class.yaml")),
    ("coredns.yaml", include_str!("../../kube/manifests/coredns.yaml")),
];

/// Whose it is, which decides whether somebody else may end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Runs until `cargo xtask kube down`.
    Developer,
    /// Is worth nothing once this process has ended, however it ended.
    ThisProcess,
}

/// What happens to the logs of a Kubernetes that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    Kept,
    Removed,
}

/// A running Kubernetes.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    layout: Layout,
    tools: Tools,
    nodes: Vec<Node>,
}

impl Kubernetes {
    /// Starts one, all nodes ready and DNS answering. Builds the programs if need be.
    pub fn start(repository: &Path, node_count: u8, owner: Owner) -> Result<Self> {
        let nodes = Node::first(node_count)?;
        for need in need::KUBERNETES {
            ensure!(need.is_met(), "needs {}: {}", need.what, need.how);
        }
        let layout = Layout::of_this_machine();
        let tools = Tools::build(repository, &layout)?;
        make_room(&layout)?;
        let kubernetes = Self { layout, tools, nodes };
        if let Err(error) = kubernetes.start_all(owner) {
            let logs = kubernetes.layout.last_logs();
            stop(Logs::Kept).context("after a failed start")?;
            return Err(error.context(format!("logs are in {}", logs.display())));
        }
        Ok(kubernetes)
    }

    /// The one that runs already.
    pub fn running(repository: &Path) -> Result<Self> {
        let layout = Layout::of_this_machine();
        ensure!(Component::ApiServer.process(&layout).pid().is_some(), "no Kubernetes runs: cargo xtask kube up");
        let tools = Tools::build(repository, &layout)?;
        let nodes = (1..=MOST_NODES).filter_map(|number| Node::new(number).ok());
        let nodes = nodes.filter(|node| layout.node(*node).is_dir()).collect();
        Ok(Self { layout, tools, nodes })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn kubectl(&self) -> Command {
        self.tools.kubectl(&self.layout)
    }

    pub fn helm(&self) -> Command {
        self.tools.helm(&self.layout)
    }

    /// Imports an image archive into every node.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        on_every(&self.nodes, |node| node::load_image(&self.layout, node, archive))
    }

    fn start_all(&self, owner: Owner) -> Result<()> {
        let Self { layout, tools, nodes } = self;
        std::fs::create_dir_all(layout.logs())?;
        write_owner(layout, owner)?;
        self.write_images()?;
        let mut pki = Command::new(tools.kube());
        pki.arg("pki").arg("--dir").arg(layout.credentials()).args(["--address", CONTROL_PLANE_ADDRESS]);
        pki.args(["--service-address", API_SERVICE_ADDRESS, "--nodes", &nodes.len().to_string()]);
        run(&mut pki)?;
        network::create(nodes)?;
        for component in Component::ALL {
            component.start(layout, tools)?;
        }
        control_plane::wait_until_ready(layout, tools)?;
        for (name, manifest) in MANIFESTS {
            let file = layout.run().join(name);
            std::fs::write(&file, manifest)?;
            self.apply(&file)?;
        }
        on_every(nodes, |node| node::start(layout, tools, node))?;
        self.wait_until_nodes_are_ready()?;
        run(self.kubectl().args([
            "--namespace=kube-system",
            "rollout",
            "status",
            "deployment/coredns",
            "--timeout=120s",
        ]))?;
        Ok(())
    }

    /// The namespaces of the system appear a moment after the API server is ready.
    fn apply(&self, file: &Path) -> Result<()> {
        let mut outcome = Ok(());
        wait_until(MANIFESTS_LIMIT, || {
            outcome = run(self.kubectl().args(["apply", "--filename"]).arg(file)).map(drop);
            outcome.is_ok()
        });
        outcome
    }

    fn write_images(&self) -> Result<()> {
        let images = self.layout.images();
        std::fs::create_dir_all(&images)?;
        for (name, program) in [(COREDNS_IMAGE, self.tools.coredns()), (node_files::PAUSE_IMAGE, self.tools.pause())] {
            let file = program.file_name().context("a program has a name")?.to_string_lossy().into_owned();
            let layer = Layer { files: vec![(format!("/{file}"), program)], folders: Vec::new() };
            let image = Image { name: name.to_owned(), entrypoint: format!("/{file}"), layers: vec![layer] };
            image.write_archive(&images.join(format!("{file}.tar")))?;
        }
        Ok(())
    }

    fn wait_until_nodes_are_ready(&self) -> Result<()> {
        let registered = || {
            let names = run(self.kubectl().args(["get", "nodes", "--output=name"])).unwrap_or_default();
            names.lines().count() == self.nodes.len()
        };
        ensure!(wait_until(NODES_READY_LIMIT, registered), "not every node registered: {}", self.node_logs());
        let limit = format!("--timeout={}s", NODES_READY_LIMIT.as_secs());
        let waited = run(self.kubectl().args(["wait", "--for=condition=Ready", "node", "--all", &limit]));
        waited.map(drop).with_context(|| self.node_logs())
    }

    fn node_logs(&self) -> String {
        let tail = |node: &Node| format!("{}: {}", node.name(), node::process(&self.layout, *node).log_tail());
        self.nodes.iter().map(tail).collect::<Vec<_>>().join("; ")
    }
}

/// Ends the Kubernetes of this machine, or what is left of one.
pub fn stop(logs: Logs) -> Result<()> {
    let layout = Layout::of_this_machine();
    for number in 1..=MOST_NODES {
        node::kill(&layout, Node::new(number)?)?;
    }
    for component in Component::ALL.into_iter().rev() {
        component.process(&layout).stop(if component == Component::Etcd { ETCD_STOP_LIMIT } else { Duration::ZERO })?;
    }
    network::remove()?;
    cgroups::remove()?;
    if logs == Logs::Kept {
        keep_logs(&layout)?;
    }
    let mounts = mounts_below(&layout.run())?;
    ensure!(mounts.is_empty(), "still mounted: {mounts:?}");
    match std::fs::remove_dir_all(layout.run()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("cannot remove the files"),
        _ => Ok(()),
    }
}

/// What a Kubernetes that ended should not have left: processes, mounts, namespaces, interfaces, cgroups, files.
pub fn leftovers() -> Result<Vec<String>> {
    let run = Layout::of_this_machine().run();
    let mut found: Vec<String> =
        processes_naming(&run)?.into_iter().map(|process| format!("process {process}")).collect();
    found.extend(mounts_below(&run)?.into_iter().map(|mount| format!("mount {mount}")));
    found.extend(network::namespaces()?.into_iter().map(|name| format!("network namespace {name}")));
    found.extend(network::interfaces()?.into_iter().map(|name| format!("network interface {name}")));
    found.extend(cgroups::all().into_iter().map(|group| format!("cgroup {}", group.display())));
    if run.exists() {
        found.push(format!("folder {}", run.display()));
    }
    Ok(found)
}

/// Refuses to start beside another one; what a dead owner left is ended first.
fn make_room(layout: &Layout) -> Result<()> {
    let owner = std::fs::read_to_string(owner_file(layout)).unwrap_or_default();
    let alive = match owner.split_once(' ') {
        Some((pid, started)) => pid.parse().ok().and_then(start_time).as_deref() == Some(started),
        None => !owner.is_empty(),
    };
    if alive {
        bail!("a Kubernetes runs on this machine already: cargo xtask kube down");
    }
    stop(Logs::Removed)
}

fn write_owner(layout: &Layout, owner: Owner) -> Result<()> {
    let text = match owner {
        Owner::Developer => "developer".to_owned(),
        Owner::ThisProcess => {
            let own = std::process::id();
            format!("{own} {}", start_time(own).context("this process has no start time")?)
        }
    };
    Ok(std::fs::write(owner_file(layout), text)?)
}

fn owner_file(layout: &Layout) -> PathBuf {
    layout.run().join("owner")
}

fn keep_logs(layout: &Layout) -> Result<()> {
    let target = layout.last_logs();
    match std::fs::remove_dir_all(&target) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => std::fs::create_dir_all(&target)?,
    }
    let nodes = (1..=MOST_NODES).filter_map(|number| Node::new(number).ok());
    let folders = nodes.map(|node| (node.name(), layout.node(node).join("log")));
    for (name, folder) in folders.chain([("control-plane".to_owned(), layout.logs())]) {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type()?.is_file() {
                let log = format!("{name}-{}", entry.file_name().to_string_lossy());
                std::fs::copy(entry.path(), target.join(log))?;
            }
        }
    }
    Ok(())
}

fn mounts_below(directory: &Path) -> Result<Vec<String>> {
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    Ok(targets.filter(|target| Path::new(target).starts_with(directory)).map(str::to_owned).collect())
}

fn processes_naming(directory: &Path) -> Result<Vec<String>> {
    let needle = directory.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let command_line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command_line = String::from_utf8_lossy(&command_line).replace('\0', " ");
        if command_line.contains(&needle) {
            found.push(format!("{pid}: {command_line}"));
        }
    }
    Ok(found)
}

/// The same on all nodes at once.
fn on_every(nodes: &[Node], action: impl Fn(Node) -> Result<()> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let started: Vec<_> = nodes.iter().map(|node| scope.spawn(|| action(*node))).collect();
        let ended: Vec<_> = started.into_iter().map(|thread| thread.join()).collect();
        for outcome in ended {
            outcome.map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok(())
    })
}
