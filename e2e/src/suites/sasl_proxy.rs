//! The proxy of e2e/franz-go: logs in for programs that cannot, and changes nothing else but the server's address.
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use crate::context::{Context, is_newer_than_sources};
use crate::process::ProcessGroup;
use crate::server::Access;

const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// A running proxy, stopped when dropped.
pub(super) struct SaslProxy {
    _process: ProcessGroup,
    address: String,
}

impl SaslProxy {
    pub fn start(context: &Context, access: &Access) -> Result<Self> {
        let mut command = Command::new(build_program(context)?);
        access.set_environment(command.arg("proxy"));
        let mut process = ProcessGroup::spawn("the SASL proxy", command.stdout(Stdio::piped()).stderr(Stdio::null()))?;
        let output = process.child_mut().stdout.take().ok_or_else(|| anyhow!("the proxy has no standard output"))?;
        let mut output = BufReader::new(output);
        let mut address = String::new();
        output.read_line(&mut address).context("the proxy printed no address")?;
        // What it says later is read to the end, so that it never waits for us.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Ok(Self { _process: process, address: address.trim().to_owned() })
    }

    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Builds the Go program of e2e/franz-go.
pub(super) fn build_program(context: &Context) -> Result<PathBuf> {
    let sources = context.e2e_dir("franz-go");
    let program = context.build_dir("franz-go")?.join("franz-go");
    if !is_newer_than_sources(&program, &sources) {
        let mut command = Command::new("go");
        command.current_dir(&sources).env("GOFLAGS", "-mod=readonly").args(["build", "-o"]).arg(&program).arg(".");
        context.step("go build", &mut command, BUILD_LIMIT)?;
    }
    Ok(program)
}
