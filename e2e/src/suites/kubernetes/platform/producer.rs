//! A Java producer outside that writes to one cluster all along, and counts what was acknowledged.
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::clients::{Clients, Tenant};
use crate::process::ProcessGroup;
use crate::suites::kubernetes::eventually;

/// So many more show that records go through again.
const MORE: u64 = 100;
/// For the last records, and for reading everything back.
const END_LIMIT: Duration = Duration::from_secs(120);

pub struct Producer {
    process: ProcessGroup,
    log: PathBuf,
    end: PathBuf,
}

impl Producer {
    /// Starts it, with the first records acknowledged.
    pub fn start(clients: &Clients<'_>, tenant: &Tenant) -> Result<Self> {
        let (log, end) = (clients.folder.join("producer.log"), clients.folder.join("producer.end"));
        for old in [&log, &end] {
            match std::fs::remove_file(old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let mut command = clients.java("Outages")?;
        command.arg(clients.write_files(tenant)?).arg(&end);
        let process = ProcessGroup::spawn_logged("the producer", &mut command, &log)?;
        let producer = Self { process, log, end };
        producer.goes_on()?;
        Ok(producer)
    }

    /// Waits for more records to be acknowledged.
    pub fn goes_on(&self) -> Result<()> {
        let before = self.acknowledged();
        eventually("records that are acknowledged", || self.acknowledged() >= before + MORE)
    }

    /// Stops writing. Fails if a record was refused, lost, doubled or out of order.
    pub fn end(mut self) -> Result<()> {
        std::fs::write(&self.end, "")?;
        let status = self.process.wait_at_most(END_LIMIT)?;
        let said = std::fs::read_to_string(&self.log)?;
        let said: Vec<_> = said.lines().filter(|line| !line.starts_with("acknowledged")).collect();
        ensure!(status.success(), "{}", said.join("; "));
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        said.lines().rev().find_map(|line| line.strip_prefix("acknowledged ")?.parse().ok()).unwrap_or_default()
    }
}
