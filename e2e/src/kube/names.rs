//! The names of Services for a program on this machine, which otherwise knows only their addresses.
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::command::behind;
use super::layout::{DNS_ADDRESS, Layout};

/// What a program of this machine needs to look names up at the Kubernetes instead of where the machine does.
#[derive(Debug, Clone)]
pub struct Names {
    settings: PathBuf,
}

impl Names {
    pub fn new(layout: &Layout) -> Result<Self> {
        let settings = layout.run().join("resolv.conf");
        std::fs::write(&settings, format!("nameserver {DNS_ADDRESS}\nsearch cluster.local\noptions ndots:4\n"))?;
        Ok(Self { settings })
    }

    /// The same command with those names; its process id is that of the program.
    pub fn for_command(&self, command: &Command) -> Command {
        let mut outer = Command::new("unshare");
        outer.args(["--mount", "sh", "-c", r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#]).arg(&self.settings);
        behind(outer, command)
    }
}
