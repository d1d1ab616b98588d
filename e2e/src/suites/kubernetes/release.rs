//! Both charts in a namespace, by helm.
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Namespace;
use crate::context::Context;
use crate::kube::Kubernetes;
use crate::kube::command::run;
use crate::kube::platform::SMALL_BROKERS;

/// How long helm waits for what it installed.
const INSTALL_LIMIT: Duration = Duration::from_secs(180);
/// The release `millstream` in the namespace of the same name.
pub struct Release<'a> {
    pub context: &'a Context,
    pub namespace: Namespace<'a>,
    /// What `--set` is given, separated by commas.
    values: String,
}

impl<'a> Release<'a> {
    pub fn new(context: &'a Context, kubernetes: &'a Kubernetes, values: &str) -> Self {
        Self {
            context,
            namespace: Namespace::new(kubernetes, "millstream"),
            values: format!("image.pullPolicy=Never,{SMALL_BROKERS},{values}"),
        }
    }

    /// `kubectl` in its namespace, the arguments separated by spaces.
    pub fn kubectl(&self, arguments: &str) -> Result<String> {
        self.namespace.kubectl(arguments)
    }

    /// `helm` with these arguments, separated by spaces; `CHART` and `CRDS` are the charts,
    /// `PREVIOUS_CHART` and `PREVIOUS_CRDS` those of the version before.
    pub fn helm(&self, arguments: &str) -> Result<String> {
        run(&mut self.helm_command(arguments))
    }

    pub fn install(&self) -> Result<()> {
        self.helm("install millstream-crds CRDS")?;
        self.apply_chart("install")
    }

    /// Installs both charts without waiting for what they start.
    pub fn begin_install(&self) -> Result<()> {
        self.helm("install millstream-crds CRDS")?;
        self.helm(&format!("install millstream CHART --set={}", self.values)).map(drop)
    }

    /// Installs the charts of the version before, with the image of this tag.
    pub fn install_previous(&self, tag: &str) -> Result<()> {
        self.helm("install millstream-crds PREVIOUS_CRDS")?;
        let (limit, values) = (INSTALL_LIMIT.as_secs(), &self.values);
        let tag = format!("--set=image.tag={tag}");
        self.helm(&format!("install millstream PREVIOUS_CHART --set={values} {tag} --wait --timeout={limit}s"))
            .map(drop)
    }

    pub fn upgrade(&self) -> Result<()> {
        self.apply_chart("upgrade")
    }

    /// Upgrades to more values, separated by commas, which the next upgrade has forgotten.
    pub fn upgrade_with(&self, more: &str) -> Result<()> {
        let limit = INSTALL_LIMIT.as_secs();
        self.helm(&format!("upgrade millstream CHART --set={},{more} --wait --timeout={limit}s", self.values)).map(drop)
    }

    /// Checks that helm refuses the arguments with these words in what it says.
    pub fn is_refused(&self, arguments: &str, words: &[&str]) -> Result<()> {
        let output = self.helm_command(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "it was not refused");
        for word in words {
            ensure!(said.contains(word), "{word} is not in {said}");
        }
        Ok(())
    }

    fn apply_chart(&self, verb: &str) -> Result<()> {
        let limit = INSTALL_LIMIT.as_secs();
        self.helm(&format!("{verb} millstream CHART --set={} --wait --timeout={limit}s", self.values)).map(drop)
    }

    fn helm_command(&self, arguments: &str) -> Command {
        let charts = self.context.repository.join("charts");
        let previous = self.context.e2e_dir("kubernetes").join("previous");
        let mut command = self.namespace.kubernetes.helm();
        command.args(["--namespace", &self.namespace.name]);
        command.args(arguments.split(' ').map(|argument| match argument {
            "CHART" => charts.join("millstream").display().to_string(),
            "CRDS" => charts.join("millstream-crds").display().to_string(),
            "PREVIOUS_CHART" => previous.join("millstream-0.1.0.tgz").display().to_string(),
            "PREVIOUS_CRDS" => previous.join("millstream-crds-0.1.0.tgz").display().to_string(),
            other => other.to_owned(),
        }));
        command
    }
}
