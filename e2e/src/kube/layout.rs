//! Names, addresses and folders of the Kubernetes on this machine. Pure: nothing here touches the machine.
//!
//! ```text
//! 10.90.0.1     this machine, on the bridge mskube-br      10.96.0.0/16  Services
//! 10.90.0.10    control plane, namespace mskube-cp         10.97.0.0/24  load balancers
//! 10.90.0.11 …  nodes 1 to 9, namespaces mskube-n1 …       10.244.N.0/24 pods of node N
//! ```
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::cache::cache_dir;

/// How everything is called that the machine can see: network interfaces, network namespaces, cgroups.
pub const PREFIX: &str = "mskube";
pub const HOST_ADDRESS: &str = "10.90.0.1";
pub const CONTROL_PLANE_ADDRESS: &str = "10.90.0.10";
pub const SERVICES: &str = "10.96.0.0/16";
/// The Service `kubernetes`.
pub const API_SERVICE_ADDRESS: &str = "10.96.0.1";
pub const DNS_ADDRESS: &str = "10.96.0.10";
pub const PODS: &str = "10.244.0.0/16";
pub const LOAD_BALANCERS: &str = "10.97.0.0/24";
pub const LOAD_BALANCER_ADDRESSES: &str = "10.97.0";
pub const MOST_NODES: u8 = 9;

/// The number of a node, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(u8);

impl Node {
    pub fn new(number: u8) -> Result<Self> {
        ensure!((1..=MOST_NODES).contains(&number), "nodes have the numbers 1 to {MOST_NODES}, not {number}");
        Ok(Self(number))
    }

    /// The first `count` nodes.
    pub fn first(count: u8) -> Result<Vec<Self>> {
        ensure!((1..=MOST_NODES).contains(&count), "there can be 1 to {MOST_NODES} nodes, not {count}");
        Ok((1..=count).map(Self).collect())
    }

    /// As Kubernetes knows it.
    pub fn name(self) -> String {
        format!("n{}", self.0)
    }

    /// As this machine knows its network namespace, its network cable and its cgroups.
    pub fn machine_name(self) -> String {
        format!("{PREFIX}-{}", self.name())
    }

    pub fn address(self) -> String {
        format!("10.90.0.1{}", self.0)
    }

    pub fn pods(self) -> String {
        format!("10.244.{}.0/24", self.0)
    }

    /// Node 1 is in `zone-a`, node 2 in `zone-b`.
    pub fn zone(self) -> String {
        format!("zone-{}", char::from(b'a' + self.0 - 1))
    }
}

/// Where files are. `run` holds all that a running Kubernetes writes.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// One per machine: the addresses above are fixed.
    pub fn of_this_machine() -> Self {
        Self { root: cache_dir().join("kube") }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    pub fn logs(&self) -> PathBuf {
        self.run().join("log")
    }

    /// The logs of the run that ended last, if it was asked to keep them.
    pub fn last_logs(&self) -> PathBuf {
        self.root.join("last-logs")
    }

    pub fn credentials(&self) -> PathBuf {
        self.run().join("credentials")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.credentials().join("admin.conf")
    }

    pub fn volumes(&self) -> PathBuf {
        self.run().join("volumes")
    }

    /// Archives that every node imports before it starts.
    pub fn images(&self) -> PathBuf {
        self.run().join("images")
    }

    pub fn node(&self, node: Node) -> PathBuf {
        self.run().join(node.name())
    }
}

pub fn control_plane_namespace() -> String {
    format!("{PREFIX}-cp")
}

/// The file that keeps a network namespace alive.
pub fn namespace_file(namespace: &str) -> PathBuf {
    Path::new("/run/netns").join(namespace)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_nodes_share_a_name_an_address_a_zone_or_pods() {
        let nodes = Node::first(MOST_NODES).unwrap();
        for name in [Node::name, Node::machine_name, Node::address, Node::zone, Node::pods] {
            let names: BTreeSet<_> = nodes.iter().map(|node| name(*node)).collect();
            assert_eq!(names.len(), nodes.len(), "{names:?}");
        }
    }

    #[test]
    fn the_kernel_accepts_the_name_of_every_cable() {
        const LONGEST_INTERFACE_NAME: usize = 15;
        let nodes = Node::first(MOST_NODES).unwrap();
        assert!(nodes.iter().all(|node| node.machine_name().len() <= LONGEST_INTERFACE_NAME));
    }

    #[test]
    fn a_number_that_no_node_has_is_refused() {
        assert!(
            [0, MOST_NODES + 1].into_iter().all(|number| Node::new(number).is_err() && Node::first(number).is_err())
        );
    }
}
