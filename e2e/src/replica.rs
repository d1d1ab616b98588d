//! One replica of the control plane alone: `millstream control-plane` on ports of its own, stopped, killed and started again at will.
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::process::{ProcessGroup, free_port, start_and_wait};

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
        Ok(Self::start_with(settings, &[])?.0)
    }

    /// Starts it with more arguments. Also what it printed.
    pub fn start_with(settings: Settings, more: &[&str]) -> Result<(Self, Value)> {
        let (http_port, fleet_port) = (free_port()?, free_port()?);
        let (process, printed) = spawn(&settings, (http_port, fleet_port), more)?;
        Ok((Self { settings, http_port, fleet_port, process }, printed))
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
        (self.process, _) = spawn(&self.settings, (self.http_port, self.fleet_port), &[])?;
        Ok(())
    }
}

fn spawn(settings: &Settings, ports: (u16, u16), more: &[&str]) -> Result<(ProcessGroup, Value)> {
    let (http_port, fleet_port) = ports;
    let mut command = Command::new(&settings.binary);
    command.args(["control-plane", "--output", "json", "--http-listen"]).arg(format!("127.0.0.1:{http_port}"));
    command.arg("--fleet-listen").arg(format!("127.0.0.1:{fleet_port}"));
    command.env("MILLSTREAM_DATABASE_URL", &settings.database_url).env("MILLSTREAM_AGENT_TOKEN", &settings.agent_token);
    command.env("MILLSTREAM_SECRET_DIR", &settings.secret_dir).args(more);
    start_and_wait("millstream control-plane", &mut command, &settings.log)
}
