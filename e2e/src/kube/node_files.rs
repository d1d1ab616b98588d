//! The configuration of one node: what containerd, the kubelet, kube-proxy and the CNI plugins read. Pure but for the writing.
//! Every setting that is not a default says what happens without it.
use std::path::Path;

use anyhow::{Context as _, Result};

use super::layout::{DNS_ADDRESS, Layout, Node, PODS};

/// What the sandbox of every pod runs.
pub const PAUSE_IMAGE: &str = "development.local/pause:1";

/// Settings of the kernel that the kubelet insists on, and the values it wants to see.
const SYSCTLS: &[(&str, &str)] = &[("overcommit_memory", "1\n"), ("panic", "10\n"), ("panic_on_oops", "1\n")];

pub fn write(layout: &Layout, node: Node) -> Result<()> {
    let directory = layout.node(node);
    for folder in ["containerd", "lib/kubelet", "lib/cni", "log", "cni", "sysctl"] {
        create(&directory.join(folder))?;
    }
    create(&layout.volumes())?;
    for (name, value) in SYSCTLS {
        std::fs::write(directory.join("sysctl").join(name), value)?;
    }
    // No servers: the pods would inherit the resolver of this machine.
    std::fs::write(directory.join("resolv.conf"), "")?;
    std::fs::write(directory.join("cni/10-pods.conflist"), cni(node))?;
    std::fs::write(directory.join("containerd.toml"), containerd(&directory))?;
    std::fs::write(directory.join("kubelet.yaml"), kubelet(layout, node))?;
    std::fs::write(directory.join("proxy.yaml"), proxy(layout, node))?;
    Ok(())
}

fn create(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}

fn cni(node: Node) -> String {
    let pods = node.pods();
    format!(
        r#"{{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {{
      "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
      "ipam": {{"type": "host-local", "ranges": [[{{"subnet": "{pods}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}
    }},
    {{"type": "portmap", "capabilities": {{"portMappings": true}}}}
  ]
}}
"#
    )
}

fn containerd(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        r#"version = 2
root = "{directory}/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE, runc dies of the attempt.
  restrict_oom_score_adj = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        # There need not be a systemd.
        SystemdCgroup = false
"#
    )
}

fn kubelet(layout: &Layout, node: Node) -> String {
    let (directory, credentials) = (layout.node(node), layout.credentials());
    let (directory, credentials, cgroup) = (directory.display(), credentials.display(), node.machine_name());
    format!(
        r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: "{credentials}/ca.crt"}}}}
authorization: {{mode: Webhook}}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
# Several nodes share the cgroups of one machine.
cgroupRoot: /{cgroup}
# Refused by default since 1.35.
failCgroupV1: false
failSwapOn: false
# The hard limit of the machine may be lower than the default of a million.
maxOpenFiles: 20000
clusterDomain: cluster.local
clusterDNS: ["{DNS_ADDRESS}"]
resolvConf: "{directory}/resolv.conf"
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}}
# Images cannot be pulled again: they are never collected.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeLeaseDurationSeconds: 20
nodeStatusUpdateFrequency: 5s
maxPods: 110
"#
    )
}

fn proxy(layout: &Layout, node: Node) -> String {
    let (credentials, name) = (layout.credentials(), node.name());
    let credentials = credentials.display();
    format!(
        r#"apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {{kubeconfig: "{credentials}/proxy.conf"}}
hostnameOverride: {name}
mode: nftables
# Otherwise answers to the host would come back past the translation.
clusterCIDR: {PODS}
nodePortAddresses: [primary]
# Not writable inside of a network namespace.
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
"#
    )
}
