//! One replica of the control plane alone: `millstream control-plane` on ports of its own, stopped, killed and started again at will.
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process::{ProcessGroup, free_port, read_first_document};

const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What all replicas of an installation have in common, but for the way to the database.
#[derive(Debug, Clone)]
pub struct Settings {
    pub binary: PathBuf,
    pub database_url: String,
    pub agent_token: String,
    pub secret_dir: PathBuf,
    pub log: PathBuf,
}

/// A replica; killed when dropped.
#[derive(Debug)]
pub struct Replica {
    settings: Settings,
    http_port: u16,
    fleet_port: u16,
    process: ProcessGroup,
}

impl Replica {
    /// Starts it and waits until it serves.
    pub fn start(settings: Settings) -> Result<Self> {
        let (http_port, fleet_port) = (free_port()?, free_port()?);
        let process = spawn(&settings, http_port, fleet_port)?;
        Ok(Self { settings, http_port, fleet_port, process })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    pub fn fleet_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.fleet_port)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    pub fn kill_hard(&mut self) {
        self.process.kill_hard();
    }

    /// SIGTERM, as an orchestrator sends it: requests in flight are answered.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.process.terminate(STOP_LIMIT)?;
        ensure!(status.success(), "millstream control-plane ended with {status} on SIGTERM");
        Ok(())
    }

    /// Starts it again on the same ports.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = spawn(&self.settings, self.http_port, self.fleet_port)?;
        Ok(())
    }
}

fn spawn(settings: &Settings, http_port: u16, fleet_port: u16) -> Result<ProcessGroup> {
    let mut command = Command::new(&settings.binary);
    command.args(["control-plane", "--output", "json", "--http-listen"]).arg(format!("127.0.0.1:{http_port}"));
    command.arg("--fleet-listen").arg(format!("127.0.0.1:{fleet_port}"));
    command.env("MILLSTREAM_DATABASE_URL", &settings.database_url).env("MILLSTREAM_AGENT_TOKEN", &settings.agent_token);
    command.env("MILLSTREAM_SECRET_DIR", &settings.secret_dir);
    start_and_wait("millstream control-plane", &mut command, &settings.log)
}

/// Starts a command that prints one JSON object once it serves.
fn start_and_wait(name: &str, command: &mut Command, log: &Path) -> Result<ProcessGroup> {
    let errors = OpenOptions::new().create(true).append(true).open(log)?;
    let mut process = ProcessGroup::spawn(name, command.stdout(Stdio::piped()).stderr(errors))?;
    let output = process.child_mut().stdout.take().with_context(|| format!("{name} has no standard output"))?;
    read_first_document(name, output, log)?;
    Ok(process)
}
