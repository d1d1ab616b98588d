//! Suites that start a real Kubernetes, each its own, with Millstream's image in it, and leave nothing behind.
pub mod account;
pub mod charts;
pub mod listeners;
mod monitoring;
pub mod nodes;
pub mod operator;
pub mod platform;
pub mod release;
pub mod upgrade;
mod values;
mod verify;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::Suite;
use crate::context::{Against, Context};
use crate::image::Image;
use crate::kube::command::{run, run_with_input};
use crate::kube::{self, Kubernetes, Logs, Owner};
use crate::millstream;
use crate::outcome::Outcome;
use crate::process::wait_until;

/// How long anything may take on a busy machine of two cores.
const LIMIT: Duration = Duration::from_secs(90);

/// Runs the checks on a Kubernetes of their own, and then checks that nothing is left of it.
fn on_kubernetes(
    context: &Context,
    nodes: u8,
    body: impl FnOnce(&Kubernetes, &mut Checks<'_>) -> Result<()>,
) -> Result<Outcome> {
    if context.against != Against::Millstream {
        bail!("this suite is about Millstream");
    }
    let archive = image_archive(context)?;
    let mut outcome = Outcome::default();
    let mut checks = Checks { context, outcome: &mut outcome };
    {
        let running = Running::start(context, nodes)?;
        running.kubernetes.load_image(&archive)?;
        body(&running.kubernetes, &mut checks)?;
        running.stop()?;
    }
    checks.nothing_is_left();
    Ok(outcome)
}

fn image_archive(context: &Context) -> Result<PathBuf> {
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
    fn start(context: &Context, nodes: u8) -> Result<Self> {
        let kubernetes = Kubernetes::start(&context.repository, nodes, Owner::ThisProcess)?;
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

/// What was checked, and how it ended.
struct Checks<'a> {
    context: &'a Context,
    outcome: &'a mut Outcome,
}

impl Checks<'_> {
    fn check(&mut self, name: &str, body: impl FnOnce() -> Result<()>) {
        let result = body();
        match &result {
            Ok(()) => self.context.note(&format!("ok   {name}")),
            Err(error) => self.context.note(&format!("FAIL {name}: {error:#}")),
        }
        self.outcome.count(result.is_ok());
    }

    fn nothing_is_left(&mut self) {
        self.check("nothing is left of Kubernetes", || {
            let found = kube::leftovers()?;
            ensure!(found.is_empty(), "left: {}", found.join(", "));
            Ok(())
        });
    }
}

/// A namespace, as `kubectl` sees it.
#[derive(Debug, Clone)]
pub struct Namespace<'a> {
    kubernetes: &'a Kubernetes,
    name: String,
}

impl<'a> Namespace<'a> {
    fn new(kubernetes: &'a Kubernetes, name: &str) -> Self {
        Self { kubernetes, name: name.to_owned() }
    }

    /// Makes it, restricted as the strictest of the pod security standards asks for.
    pub fn create_restricted(&self) -> Result<()> {
        self.kubectl(&format!("create namespace {}", self.name))?;
        self.kubectl(&format!("label namespace {} pod-security.kubernetes.io/enforce=restricted", self.name)).map(drop)
    }

    pub fn command(&self) -> Command {
        let mut command = self.kubernetes.kubectl();
        command.args(["--namespace", &self.name]);
        command
    }

    /// `kubectl` with these arguments, separated by spaces.
    pub fn kubectl(&self, arguments: &str) -> Result<String> {
        run(self.command().args(arguments.split(' ')))
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &str) -> Result<()> {
        let mut command = self.command();
        command.args(["apply", "--server-side", "--filename", "-"]);
        run_with_input(&mut command, manifest).map(drop)
    }

    /// Runs `/millstream` in a pod that has it.
    pub fn millstream<S: AsRef<std::ffi::OsStr>>(
        &self,
        pod: &str,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Result<String> {
        let mut command = self.command();
        command.args(["exec", "--stdin", pod, "--", "/millstream"]).args(arguments);
        run_with_input(&mut command, input)
    }
}

fn eventually(what: &str, ready: impl FnMut() -> bool) -> Result<()> {
    ensure!(wait_until(LIMIT, ready), "no {what} within {} s", LIMIT.as_secs());
    Ok(())
}
