//! The cgroups of nodes, below the name of the node in every hierarchy. Knows the hierarchies of version 1 and the one of version 2.
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::layout::{Node, PREFIX};
use crate::process::wait_until;

const ROOT: &str = "/sys/fs/cgroup";
const CONTROLLERS: &[&str] = &["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd"];
const EMPTY_LIMIT: Duration = Duration::from_secs(10);

/// Makes the group of a node everywhere; the kubelet refuses to start without it.
pub fn create(node: Node) -> Result<()> {
    for hierarchy in hierarchies() {
        let group = hierarchy.join(node.machine_name());
        std::fs::create_dir_all(&group).with_context(|| format!("cannot create {}", group.display()))?;
        // A new cpuset group of version 1 starts empty and takes no process.
        for setting in ["cpuset.mems", "cpuset.cpus"] {
            if hierarchy.ends_with("cpuset")
                && let Ok(value) = std::fs::read(hierarchy.join(setting))
            {
                std::fs::write(group.join(setting), value)?;
            }
        }
    }
    Ok(())
}

/// Removes the groups inside of a node's, which a killed node leaves behind.
pub fn sweep(node: Node) -> Result<()> {
    let own: Vec<_> = hierarchies().iter().map(|hierarchy| hierarchy.join(node.machine_name())).collect();
    remove_groups(|| {
        let inside = own.iter().flat_map(|group| below(group).into_iter().filter(|path| !own.contains(path)));
        inside.collect()
    })
}

/// Removes the groups of all nodes.
pub fn remove() -> Result<()> {
    remove_groups(all)
}

/// Every group that is ours, deepest first.
pub fn all() -> Vec<PathBuf> {
    let ours = format!("{PREFIX}-");
    let is_ours =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&ours));
    let roots = hierarchies().into_iter().flat_map(|hierarchy| folders(&hierarchy)).filter(is_ours);
    roots.flat_map(|root| below(&root)).collect()
}

/// A group can be removed a moment after its last process ended.
fn remove_groups(list: impl Fn() -> Vec<PathBuf>) -> Result<()> {
    let mut left = Vec::new();
    let removed = wait_until(EMPTY_LIMIT, || {
        list().iter().for_each(|group| drop(std::fs::remove_dir(group)));
        left = list();
        left.is_empty()
    });
    ensure!(removed, "cgroups with processes are left: {left:?}");
    Ok(())
}

fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    CONTROLLERS.iter().map(|controller| root.join(controller)).filter(|path| path.is_dir()).collect()
}

/// The group and all inside, deepest first.
fn below(group: &Path) -> Vec<PathBuf> {
    if !group.is_dir() {
        return Vec::new();
    }
    let mut found: Vec<_> = folders(group).iter().flat_map(|inner| below(inner)).collect();
    found.push(group.to_owned());
    found
}

fn folders(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}
