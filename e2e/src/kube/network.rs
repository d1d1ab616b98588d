//! The network: a bridge on this machine, one network namespace for the control plane and one per node, and the routes between them.
//! Nothing is forwarded to the outside. Removing finds what is there by name, so it works after any failure.
use std::path::Path;

use anyhow::Result;

use super::command::ip;
use super::layout::{
    CONTROL_PLANE_ADDRESS, HOST_ADDRESS, LOAD_BALANCERS, Node, PREFIX, SERVICES, control_plane_namespace,
    namespace_file,
};

pub fn create(nodes: &[Node]) -> Result<()> {
    let bridge = bridge();
    ip(&format!("link add {bridge} type bridge"))?;
    ip(&format!("addr add {HOST_ADDRESS}/24 dev {bridge}"))?;
    ip(&format!("link set {bridge} up"))?;
    let control_plane = control_plane_namespace();
    add_namespace(&control_plane, CONTROL_PLANE_ADDRESS)?;
    for node in nodes {
        add_namespace(&node.machine_name(), &node.address())?;
        forward_in(&node.machine_name())?;
    }
    for node in nodes {
        let route = format!("route add {} via {}", node.pods(), node.address());
        ip(&route)?;
        ip(&format!("-n {control_plane} {route}"))?;
        for other in nodes.iter().filter(|other| *other != node) {
            ip(&format!("-n {} {route}", other.machine_name()))?;
        }
        // A Service address needs a route before kube-proxy gets to translate it.
        ip(&format!("-n {} route add default via {HOST_ADDRESS}", node.machine_name()))?;
    }
    // From here and from the control plane, the kube-proxy of node 1 translates Services.
    if let Some(first) = nodes.first() {
        for range in [SERVICES, LOAD_BALANCERS] {
            ip(&format!("route add {range} via {}", first.address()))?;
            ip(&format!("-n {control_plane} route add {range} via {}", first.address()))?;
        }
    }
    Ok(())
}

/// Pulls or plugs the network cable of a node.
pub fn set_cable(node: Node, state: Cable) -> Result<()> {
    let state = match state {
        Cable::Plugged => "up",
        Cable::Unplugged => "down",
    };
    ip(&format!("link set {} {state}", node.machine_name())).map(drop)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cable {
    Plugged,
    Unplugged,
}

pub fn remove() -> Result<()> {
    for namespace in namespaces()? {
        ip(&format!("netns delete {namespace}"))?;
    }
    for cable in interfaces()?.iter().filter(|name| **name != bridge()) {
        // Most left together with the namespace of their other end.
        let _ = ip(&format!("link delete {cable}"));
    }
    if interfaces()?.contains(&bridge()) {
        ip(&format!("link delete {}", bridge()))?;
    }
    Ok(())
}

/// The network namespaces that are ours.
pub fn namespaces() -> Result<Vec<String>> {
    names_in(Path::new("/run/netns"))
}

/// The network interfaces of this machine that are ours.
pub fn interfaces() -> Result<Vec<String>> {
    names_in(Path::new("/sys/class/net"))
}

fn names_in(directory: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let ours = format!("{PREFIX}-");
    let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name.starts_with(&ours));
    Ok(names)
}

fn bridge() -> String {
    format!("{PREFIX}-br")
}

fn add_namespace(name: &str, address: &str) -> Result<()> {
    ip(&format!("netns add {name}"))?;
    ip(&format!("link add {name} type veth peer name eth0 netns {name}"))?;
    ip(&format!("link set {name} master {} up", bridge()))?;
    ip(&format!("-n {name} link set lo up"))?;
    ip(&format!("-n {name} addr add {address}/24 dev eth0"))?;
    ip(&format!("-n {name} link set eth0 up"))?;
    Ok(())
}

fn forward_in(namespace: &str) -> Result<()> {
    let mut command = std::process::Command::new("nsenter");
    command.arg(format!("--net={}", namespace_file(namespace).display()));
    super::command::run(command.args(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])).map(drop)
}
