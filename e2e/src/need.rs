//! Programs that a suite cannot do without, and how a person gets them. Checked before the suite starts; never installs anything.
use std::process::{Command, Stdio};

/// One program that must be on the path.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    pub what: &'static str,
    /// A command that succeeds exactly when the program can be used.
    pub probe: &'static [&'static str],
    pub how: &'static str,
}

pub const JAVA: Need = Need {
    what: "a JDK, 17 or later",
    probe: &["javac", "-version"],
    how: "apt-get install openjdk-17-jdk-headless, or https://adoptium.net",
};
pub const MAVEN: Need = Need { what: "Maven", probe: &["mvn", "-version"], how: "apt-get install maven" };
pub const GO: Need = Need { what: "Go, 1.26 or later", probe: &["go", "version"], how: "https://go.dev/dl" };
pub const PYTHON: Need = Need {
    what: "Python 3.9 or later with venv",
    probe: &["python3", "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))"],
    how: "apt-get install python3 python3-venv",
};
pub const KCAT: Need = Need { what: "kcat", probe: &["kcat", "-V"], how: "apt-get install kcat" };
pub const POSTGRES: Need = Need {
    what: "PostgreSQL 15 or later",
    probe: &[
        "sh",
        "-c",
        "PATH=$PATH:/usr/lib/postgresql/15/bin:/usr/lib/postgresql/16/bin:/usr/lib/postgresql/17/bin; command -v initdb",
    ],
    how: "apt-get install postgresql",
};
/// What a Kubernetes on this machine cannot do without, see `kube`.
pub const KUBERNETES: &[Need] = &[GO, NODE_PROGRAMS, ROOT];
pub const KUBERNETES_AND_CLIENTS: &[Need] = &[GO, NODE_PROGRAMS, ROOT, JAVA, MAVEN, KCAT, CURL];
pub const NODE_PROGRAMS: Need = Need {
    what: "containerd, runc and the CNI plugins with what they use",
    probe: &[
        "sh",
        "-c",
        "PATH=$PATH:/usr/sbin:/sbin; test -x /usr/lib/cni/bridge && test -x /usr/lib/cni/host-local && \
         command -v containerd ctr runc nft iptables conntrack ip nsenter unshare setsid > /dev/null",
    ],
    how: "apt-get install --no-install-recommends containerd runc containernetworking-plugins nftables iptables conntrack \
          iproute2 util-linux",
};
pub const ROOT: Need = Need {
    what: "root, for namespaces and mounts",
    probe: &["sh", "-c", "test $(id -u) = 0 && unshare --mount --net true"],
    how: "run the same command as root",
};
pub const CURL: Need = Need { what: "curl", probe: &["curl", "--version"], how: "apt-get install curl" };

impl Need {
    pub fn is_met(&self) -> bool {
        let Some((program, arguments)) = self.probe.split_first() else { return true };
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}
