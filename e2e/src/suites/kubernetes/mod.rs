//! Millstream on a real Kubernetes, which the suite starts and ends: the image, what is installed from it, and that nothing is left.
mod charts;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::Suite;
use crate::context::{Against, Context};
use crate::image::{self, Image};
use crate::kube::command::run as run_command;
use crate::kube::control_plane::{self, Component};
use crate::kube::layout::Layout;
use crate::kube::{self, Kubernetes, Logs, Owner, node};
use crate::outcome::Outcome;
use crate::process::wait_until;
use crate::{millstream, need};

pub const SUITE: Suite = Suite {
    name: "kubernetes",
    about: "a real Kubernetes, started for the suite: charts, clusters, the image, failures, and nothing left at the end",
    needs: need::KUBERNETES,
    run,
};

const NODES: u8 = 3;
const LIMIT: Duration = Duration::from_secs(90);
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
const NAMESPACE: &str = "millstream-up";

fn run(context: &Context) -> Result<Outcome> {
    if context.against != Against::Millstream {
        bail!("this suite is about Millstream");
    }
    let archive = image_archive(context)?;
    let mut outcome = Outcome::default();
    {
        let running = Running::start(context)?;
        running.kubernetes.load_image(&archive)?;
        let mut checks = Checks { context, kubernetes: &running.kubernetes, outcome: &mut outcome };
        checks.millstream_up()?;
        checks.failures();
        checks.charts()?;
        running.stop()?;
    }
    let mut checks = NothingLeft { context, outcome: &mut outcome };
    checks.after("the first run");
    Running::start(context)?.stop()?;
    checks.after("the second run");
    Ok(outcome)
}

fn image_archive(context: &Context) -> Result<std::path::PathBuf> {
    millstream::build_once(context)?;
    let folder = context.build_dir("kubernetes")?;
    let archive = folder.join("millstream.tar");
    Image::of_millstream(&millstream::binary(context), &folder)?.write_archive(&archive)?;
    Ok(archive)
}

/// A Kubernetes that ends with the suite, whatever happens to it.
struct Running {
    kubernetes: Kubernetes,
    stopped: bool,
}

impl Running {
    fn start(context: &Context) -> Result<Self> {
        let kubernetes = Kubernetes::start(&context.repository, NODES, Owner::ThisProcess)?;
        Ok(Self { kubernetes, stopped: false })
    }

    fn stop(mut self) -> Result<()> {
        self.stopped = true;
        kube::stop(Logs::Kept)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.stopped
            && let Err(error) = kube::stop(Logs::Kept)
        {
            eprintln!("the Kubernetes of the suite did not end: {error:#}");
        }
    }
}

struct NothingLeft<'a> {
    context: &'a Context,
    outcome: &'a mut Outcome,
}

impl NothingLeft<'_> {
    fn after(&mut self, run: &str) {
        let found = kube::leftovers().unwrap_or_else(|error| vec![format!("{error:#}")]);
        match found.is_empty() {
            true => self.context.note(&format!("ok   {run} left nothing behind")),
            false => self.context.note(&format!("FAIL {run} left {}", found.join(", "))),
        }
        self.outcome.count(found.is_empty());
    }
}

struct Checks<'a> {
    context: &'a Context,
    kubernetes: &'a Kubernetes,
    outcome: &'a mut Outcome,
}

impl Checks<'_> {
    fn check(&mut self, name: &str, body: impl FnOnce(&Self) -> Result<()>) {
        let result = body(self);
        match &result {
            Ok(()) => self.context.note(&format!("ok   {name}")),
            Err(error) => self.context.note(&format!("FAIL {name}: {error:#}")),
        }
        self.outcome.count(result.is_ok());
    }

    /// `kubectl` in the namespace of these checks, the arguments separated by spaces.
    fn kubectl(&self, arguments: &str) -> Result<String> {
        run_command(self.kubernetes.kubectl().arg("--namespace").arg(NAMESPACE).args(arguments.split(' ')))
    }

    /// A command of the program inside of the pod.
    fn millstream(&self, arguments: &str, input: &str) -> Result<String> {
        let mut command = self.kubernetes.kubectl();
        command.args(["--namespace", NAMESPACE, "exec", "--stdin", "up-0", "--", "/millstream"]);
        command.args(arguments.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = feed(&mut command, input)?;
        ensure!(output.status.success(), "millstream {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn rolled_out(&self) -> Result<()> {
        self.kubectl(&format!("rollout status statefulset/up --timeout={}s", LIMIT.as_secs())).map(drop)
    }

    fn millstream_up(&mut self) -> Result<()> {
        let manifest = std::fs::read_to_string(self.context.e2e_dir("kubernetes").join("up.yaml"))?;
        let file = self.context.build_dir("kubernetes")?.join("up.yaml");
        std::fs::write(&file, manifest.replace("IMAGE", &image::millstream_name()))?;
        self.check("the image runs restricted: no root, read-only root file system", |checks| {
            run_command(checks.kubernetes.kubectl().args(["apply", "--server-side", "--filename"]).arg(&file))?;
            checks.rolled_out()
        });
        self.check("records go in and come out by the name of the Service", |checks| {
            checks.eventually("key and Service", || checks.millstream("topic list", "").is_ok())?;
            checks.millstream("topic create tweets", "")?;
            checks.millstream("topic produce tweets", "one\ntwo\n")?;
            checks.reads_back(&["one", "two"])
        });
        self.check("the load balancer's address answers from outside", Self::answers_outside);
        self.check("a deleted pod comes back with its records", |checks| {
            let before = checks.kubectl("get pod up-0 --output=jsonpath={.metadata.uid}")?;
            checks.kubectl("delete pod up-0")?;
            checks.eventually("another pod", || {
                let now = checks.kubectl("get pod up-0 --output=jsonpath={.metadata.uid}").unwrap_or_default();
                !now.is_empty() && now != before
            })?;
            checks.rolled_out()?;
            checks.has_its_records()
        });
        self.check("a volume grows when its claim asks for more", |checks| {
            checks.kubectl(r#"patch pvc data-up-0 --patch={"spec":{"resources":{"requests":{"storage":"2Gi"}}}}"#)?;
            checks.eventually("2Gi", || {
                checks
                    .kubectl("get pvc data-up-0 --output=jsonpath={.status.capacity.storage}")
                    .is_ok_and(|size| size == "2Gi")
            })
        });
        Ok(())
    }

    fn failures(&mut self) {
        self.check("the API server killed and started again finds what it knew", |checks| {
            let (layout, tools) = (checks.kubernetes.layout(), checks.kubernetes.tools());
            Component::ApiServer.kill(layout)?;
            Component::ApiServer.start(layout, tools)?;
            control_plane::wait_until_ready(layout, tools)?;
            checks.rolled_out()
        });
        self.check("a node that lost its power comes back with its pod and records", |checks| {
            let name = checks.kubectl("get pod up-0 --output=jsonpath={.spec.nodeName}")?;
            let nodes = checks.kubernetes.nodes();
            let lost = *nodes.iter().find(|node| node.name() == name).context("the pod has a node")?;
            let layout = checks.kubernetes.layout();
            node::kill(layout, lost)?;
            checks.eventually("a node that is not ready", || {
                let condition = r#"--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
                checks.kubectl(&format!("get node {name} {condition}")).is_ok_and(|ready| ready == "Unknown")
            })?;
            node::start(layout, checks.kubernetes.tools(), lost)?;
            checks.eventually("a pod that is ready", || checks.rolled_out().is_ok())?;
            checks.has_its_records()
        });
        self.check("a deleted namespace takes its volumes and their folders along", |checks| {
            run_command(checks.kubernetes.kubectl().args(["delete", "namespace", NAMESPACE, "--timeout=90s"]))?;
            checks.eventually("no volume", || {
                let volumes =
                    run_command(checks.kubernetes.kubectl().args(["get", "persistentvolumes", "--output=name"]));
                volumes.is_ok_and(|names| names.is_empty())
            })?;
            let folders =
                run_command(Command::new("find").arg(Layout::of_this_machine().volumes()).args(["-name", "pvc-*"]))?;
            ensure!(folders.is_empty(), "left: {folders}");
            Ok(())
        });
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
        self.eventually("an address", || self.kubectl(address).is_ok_and(|address| !address.is_empty()))?;
        let address = format!("{}:8080", self.kubectl(address)?);
        self.eventually("an answer", || is_healthy(&address).unwrap_or_default())
    }

    fn eventually(&self, what: &str, ready: impl FnMut() -> bool) -> Result<()> {
        ensure!(wait_until(LIMIT, ready), "no {what} within {} s", LIMIT.as_secs());
        Ok(())
    }
}

/// Runs a command with pipes on this input.
fn feed(command: &mut Command, input: &str) -> Result<Output> {
    let mut child = command.spawn()?;
    child.stdin.take().context("a pipe was asked for")?.write_all(input.as_bytes())?;
    Ok(child.wait_with_output()?)
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
