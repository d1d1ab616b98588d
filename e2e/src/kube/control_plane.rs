//! The processes of the control plane, in a network namespace of their own. Each can be killed, frozen and started again, which is
//! what tests of failures do.
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::command::run;
use super::layout::{
    CONTROL_PLANE_ADDRESS, LOAD_BALANCER_ADDRESSES, Layout, PODS, SERVICES, control_plane_namespace, namespace_file,
};
use super::process::Remembered;
use super::tools::Tools;
use crate::process::wait_until;

const READY_LIMIT: Duration = Duration::from_secs(90);
/// A pod whose node is lost is moved after this long, 300 s by default: tests do not want to wait.
const EVICTION_SECONDS: u32 = 20;
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
    /// Volumes and load balancers.
    Controllers,
}

impl Component {
    /// In the order in which they start.
    pub const ALL: [Self; 5] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Controllers];

    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "apiserver",
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
            Self::Controllers => "controllers",
        }
    }

    pub fn process(self, layout: &Layout) -> Remembered {
        Remembered::named(layout, self.name())
    }

    pub fn start(self, layout: &Layout, tools: &Tools) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", namespace_file(&control_plane_namespace()).display()));
        command.arg(tools.kube()).arg(self.name()).args(self.arguments(layout));
        self.process(layout).start(&command)
    }

    pub fn kill(self, layout: &Layout) -> Result<()> {
        self.process(layout).kill()
    }

    /// A hung process: it keeps its connections and answers nothing.
    pub fn freeze(self, layout: &Layout) -> Result<()> {
        self.process(layout).signal(Signal::STOP)
    }

    pub fn thaw(self, layout: &Layout) -> Result<()> {
        self.process(layout).signal(Signal::CONT)
    }

    fn arguments(self, layout: &Layout) -> Vec<String> {
        let run = layout.run().display().to_string();
        let credentials = layout.credentials().display().to_string();
        match self {
            // What it holds is worth nothing after a crash of the machine.
            Self::Etcd => vec![
                "--name=kube".into(),
                format!("--data-dir={run}/etcd"),
                "--unsafe-no-fsync".into(),
                "--log-level=warn".into(),
                format!("--listen-client-urls={ETCD}"),
                format!("--advertise-client-urls={ETCD}"),
                format!("--listen-peer-urls={ETCD_PEER}"),
                format!("--initial-advertise-peer-urls={ETCD_PEER}"),
                format!("--initial-cluster=kube={ETCD_PEER}"),
            ],
            Self::ApiServer => api_server_arguments(&credentials),
            Self::ControllerManager => vec![
                format!("--kubeconfig={credentials}/controller-manager.conf"),
                "--bind-address=127.0.0.1".into(),
                "--leader-elect=false".into(),
                "--use-service-account-credentials".into(),
                format!("--service-account-private-key-file={credentials}/sa.key"),
                format!("--root-ca-file={credentials}/ca.crt"),
                format!("--cluster-signing-cert-file={credentials}/ca.crt"),
                format!("--cluster-signing-key-file={credentials}/ca.key"),
                format!("--cluster-cidr={PODS}"),
                "--node-monitor-grace-period=20s".into(),
                "--node-monitor-period=2s".into(),
            ],
            Self::Scheduler => vec![
                format!("--kubeconfig={credentials}/scheduler.conf"),
                "--bind-address=127.0.0.1".into(),
                "--leader-elect=false".into(),
            ],
            Self::Controllers => vec![
                format!("--kubeconfig={credentials}/admin.conf"),
                format!("--volumes={}", layout.volumes().display()),
                format!("--addresses={LOAD_BALANCER_ADDRESSES}"),
            ],
        }
    }
}

fn api_server_arguments(credentials: &str) -> Vec<String> {
    vec![
        format!("--etcd-servers={ETCD}"),
        format!("--bind-address={CONTROL_PLANE_ADDRESS}"),
        format!("--advertise-address={CONTROL_PLANE_ADDRESS}"),
        "--secure-port=6443".into(),
        format!("--tls-cert-file={credentials}/apiserver.crt"),
        format!("--tls-private-key-file={credentials}/apiserver.key"),
        format!("--client-ca-file={credentials}/ca.crt"),
        format!("--kubelet-client-certificate={credentials}/apiserver-kubelet.crt"),
        format!("--kubelet-client-key={credentials}/apiserver-kubelet.key"),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        format!("--service-cluster-ip-range={SERVICES}"),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-signing-key-file={credentials}/sa.key"),
        format!("--service-account-key-file={credentials}/sa.pub"),
        // Webhooks and proxied requests go to pods by their addresses: there is no kube-proxy beside the API server.
        "--enable-aggregator-routing=true".into(),
        format!("--requestheader-client-ca-file={credentials}/ca.crt"),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        format!("--proxy-client-cert-file={credentials}/front-proxy.crt"),
        format!("--proxy-client-key-file={credentials}/front-proxy.key"),
        format!("--default-not-ready-toleration-seconds={EVICTION_SECONDS}"),
        format!("--default-unreachable-toleration-seconds={EVICTION_SECONDS}"),
    ]
}

/// Waits until the API server answers.
pub fn wait_until_ready(layout: &Layout, tools: &Tools) -> Result<()> {
    let api_server = Component::ApiServer.process(layout);
    let mut ended = false;
    let answered = wait_until(READY_LIMIT, || {
        ended = api_server.pid().is_none();
        ended || run(tools.kubectl(layout).args(["get", "--raw=/readyz"])).is_ok()
    });
    ensure!(answered && !ended, "the API server is not ready: {}", api_server.log_tail());
    Ok(())
}
