//! The Kubernetes that the other suites start, and the image in it: what fails comes back.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Checks, LIMIT, Namespace, Suite, eventually, on_kubernetes};
use crate::context::Context;
use crate::kube::command::run as run_command;
use crate::kube::control_plane::{self, Component};
use crate::kube::layout::Layout;
use crate::kube::{Kubernetes, node};
use crate::outcome::Outcome;
use crate::process::wait_until;
use crate::{image, need};

pub const SUITE: Suite = Suite {
    name: "kubernetes",
    about: "a real Kubernetes of three nodes and the image in it: failures, and nothing left at the end",
    needs: need::KUBERNETES,
    run,
};

const NODES: u8 = 3;
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
const NAMESPACE: &str = "millstream-up";
const POD: &str = "up-0";

fn run(context: &Context) -> Result<Outcome> {
    on_kubernetes(context, NODES, |kubernetes, checks| {
        let up = Up { kubernetes, namespace: Namespace::new(kubernetes, NAMESPACE) };
        up.runs(context, checks)?;
        up.survives(checks);
        Ok(())
    })
}

/// `millstream up` in a pod, with a volume and a Service.
struct Up<'a> {
    kubernetes: &'a Kubernetes,
    namespace: Namespace<'a>,
}

impl Up<'_> {
    fn runs(&self, context: &Context, checks: &mut Checks<'_>) -> Result<()> {
        let manifest = std::fs::read_to_string(context.e2e_dir("kubernetes").join("up.yaml"))?;
        let manifest = manifest.replace("IMAGE", &image::millstream_name());
        checks.check("the image runs restricted: no root, read-only root file system", || {
            self.namespace.apply(&manifest)?;
            self.is_rolled_out()
        });
        checks.check("records go in and come out by the name of the Service", || {
            eventually("key and Service", || self.millstream("topic list", "").is_ok())?;
            self.millstream("topic create tweets", "")?;
            self.millstream("topic produce tweets", "one\ntwo\n")?;
            self.reads_back(&["one", "two"])
        });
        checks.check("the load balancer's address answers from outside", || self.answers_outside());
        checks.check("a deleted pod comes back with its records", || {
            let uid = format!("get pod {POD} --output=jsonpath={{.metadata.uid}}");
            let before = self.namespace.kubectl(&uid)?;
            self.namespace.kubectl(&format!("delete pod {POD}"))?;
            eventually("another pod", || {
                let now = self.namespace.kubectl(&uid).unwrap_or_default();
                !now.is_empty() && now != before
            })?;
            self.is_rolled_out()?;
            self.has_its_records()
        });
        checks.check("a volume grows when its claim asks for more", || {
            let more = r#"patch pvc data-up-0 --patch={"spec":{"resources":{"requests":{"storage":"2Gi"}}}}"#;
            self.namespace.kubectl(more)?;
            let size = "get pvc data-up-0 --output=jsonpath={.status.capacity.storage}";
            eventually("2Gi", || self.namespace.kubectl(size).is_ok_and(|size| size == "2Gi"))
        });
        Ok(())
    }

    fn survives(&self, checks: &mut Checks<'_>) {
        let (layout, tools) = (self.kubernetes.layout(), self.kubernetes.tools());
        checks.check("the API server killed and started again finds what it knew", || {
            Component::ApiServer.kill(layout)?;
            Component::ApiServer.start(layout, tools)?;
            control_plane::wait_until_ready(layout, tools)?;
            self.is_rolled_out()
        });
        checks.check("a node that lost its power comes back with its pod and records", || {
            let name = self.namespace.kubectl(&format!("get pod {POD} --output=jsonpath={{.spec.nodeName}}"))?;
            let nodes = self.kubernetes.nodes();
            let lost = *nodes.iter().find(|node| node.name() == name).context("the pod has a node")?;
            node::kill(layout, lost)?;
            let ready = r#"--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
            let ready = format!("get node {name} {ready}");
            eventually("a node that is not ready", || {
                self.namespace.kubectl(&ready).is_ok_and(|ready| ready == "Unknown")
            })?;
            node::start(layout, tools, lost)?;
            eventually("a pod that is ready", || self.is_rolled_out().is_ok())?;
            self.has_its_records()
        });
        checks.check("a deleted namespace takes its volumes and their folders along", || {
            self.namespace.kubectl(&format!("delete namespace {NAMESPACE} --timeout=90s"))?;
            let volumes = "get persistentvolumes --output=name";
            eventually("no volume", || self.namespace.kubectl(volumes).is_ok_and(|names| names.is_empty()))?;
            let folders =
                run_command(Command::new("find").arg(Layout::of_this_machine().volumes()).args(["-name", "pvc-*"]))?;
            ensure!(folders.is_empty(), "left: {folders}");
            Ok(())
        });
    }

    fn millstream(&self, arguments: &str, input: &str) -> Result<String> {
        self.namespace.millstream(POD, arguments.split(' '), input)
    }

    fn is_rolled_out(&self) -> Result<()> {
        self.namespace.kubectl(&format!("rollout status statefulset/up --timeout={}s", LIMIT.as_secs())).map(drop)
    }

    fn reads_back(&self, expected: &[&str]) -> Result<()> {
        let output = self.millstream("topic consume tweets --from-beginning --exit-at-end -o json", "")?;
        for value in expected {
            ensure!(output.contains(&format!("\"{value}\"")), "{value} is not in {output}");
        }
        Ok(())
    }

    /// kube-proxy follows the readiness of a pod with up to a second of delay.
    fn has_its_records(&self) -> Result<()> {
        let mut outcome = Ok(());
        wait_until(LIMIT, || {
            outcome = self.reads_back(&["one", "two"]);
            outcome.is_ok()
        });
        outcome
    }

    fn answers_outside(&self) -> Result<()> {
        let address = "get service up --output=jsonpath={.status.loadBalancer.ingress[0].ip}";
        eventually("an address", || self.namespace.kubectl(address).is_ok_and(|address| !address.is_empty()))?;
        let address = format!("{}:8080", self.namespace.kubectl(address)?);
        eventually("an answer", || is_healthy(&address).unwrap_or_default())
    }
}

/// Whether `GET /health` is answered with 200.
fn is_healthy(address: &str) -> Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address.parse()?, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
