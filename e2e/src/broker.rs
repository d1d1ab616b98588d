//! One broker alone: `millstream broker` with a configuration file and a data directory of its own, killed and started again at will.
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use millstream_api::fleet::DesiredPhysicalCluster;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{ProcessGroup, free_port, start_and_wait};

/// A broker; killed when dropped.
#[derive(Debug)]
pub struct Broker {
    binary: PathBuf,
    directory: TempDir,
    log: PathBuf,
    process: ProcessGroup,
    /// Where clients connect.
    pub kafka_address: String,
    /// Where its metrics are.
    pub http_address: String,
}

impl Broker {
    /// Starts the broker of a physical cluster; it dials the control plane at `fleet_url`.
    pub fn start(binary: &Path, host: &DesiredPhysicalCluster, fleet_url: &str, log: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("millstream-broker-").tempdir()?;
        std::fs::write(directory.path().join("token"), &host.broker_token)?;
        let configuration = format!(
            "physical_cluster_id = \"{}\"\nbroker_id = 0\ndata_dir = \"{folder}/data\"\n\
             [http]\nbind = \"127.0.0.1:{}\"\n\
             [fleet]\nurl = \"{fleet_url}\"\ntoken_file = \"{folder}/token\"\n\
             [[listeners]]\nname = \"EXTERNAL\"\nbind = \"127.0.0.1:{}\"\nadvertised_host = \"127.0.0.1\"\n",
            host.physical_cluster_id,
            free_port()?,
            free_port()?,
            folder = directory.path().display(),
        );
        std::fs::write(directory.path().join("broker.toml"), configuration)?;
        let (process, document) = spawn(binary, directory.path(), log)?;
        let address = |pointer: &str| {
            let address = document.pointer(pointer).and_then(Value::as_str);
            address.map(str::to_owned).with_context(|| format!("millstream broker printed no {pointer}: {document}"))
        };
        let (kafka_address, http_address) = (address("/kafka_addresses/EXTERNAL")?, address("/http_address")?);
        let (binary, log) = (binary.to_owned(), log.to_owned());
        Ok(Self { binary, directory, log, process, kafka_address, http_address })
    }

    /// `kill -9`, and a start on the same data and ports.
    pub fn kill_and_start_again(&mut self) -> Result<()> {
        self.process.kill_hard();
        (self.process, _) = spawn(&self.binary, self.directory.path(), &self.log)?;
        Ok(())
    }
}

fn spawn(binary: &Path, directory: &Path, log: &Path) -> Result<(ProcessGroup, Value)> {
    let mut command = Command::new(binary);
    command.args(["broker", "--output", "json", "--config"]).arg(directory.join("broker.toml"));
    start_and_wait("millstream broker", &mut command, log)
}
