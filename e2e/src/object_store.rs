//! An S3 server that nobody here wrote: versitygw from the Go module proxy, on a temporary folder. Stopped when dropped.
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::context::{Context, is_newer_than_sources};
use crate::files::files_below;
use crate::process::{ProcessGroup, wait_until};

const PROGRAM: &str = "github.com/versity/versitygw/cmd/versitygw";
const BUILD_LIMIT: Duration = Duration::from_secs(900);
const READY_LIMIT: Duration = Duration::from_secs(30);

pub const BUCKET: &str = "millstream";
pub const ACCESS_KEY_ID: &str = "suite";
pub const SECRET_ACCESS_KEY: &str = "a-secret-of-the-suite";

/// A server with one bucket.
#[derive(Debug)]
pub struct ObjectStore {
    process: ProcessGroup,
    program: PathBuf,
    folder: TempDir,
    address: SocketAddr,
    log: PathBuf,
}

impl ObjectStore {
    pub fn start(context: &Context, address: SocketAddr) -> Result<Self> {
        let program = build(context)?;
        let folder = tempfile::Builder::new().prefix("millstream-s3-").tempdir()?;
        std::fs::create_dir(folder.path().join(BUCKET))?;
        let process = serve(&program, folder.path(), address, &context.log)?;
        Ok(Self { process, program, folder, address, log: context.log.clone() })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts every connection.
    pub fn stop(&mut self) {
        self.process.kill_hard();
    }

    /// Starts it on the same objects.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = serve(&self.program, self.folder.path(), self.address, &self.log)?;
        Ok(())
    }

    /// The keys of the objects below a prefix.
    pub fn keys_below(&self, prefix: &str) -> Result<Vec<String>> {
        let bucket = self.folder.path().join(BUCKET);
        let mut keys = Vec::new();
        for file in files_below(&bucket)? {
            keys.push(file.strip_prefix(&bucket)?.display().to_string());
        }
        keys.retain(|key| key.starts_with(prefix));
        Ok(keys)
    }
}

/// The secret key goes by the environment: arguments can be seen by everybody.
fn serve(program: &Path, folder: &Path, address: SocketAddr, log: &Path) -> Result<ProcessGroup> {
    let mut command = Command::new(program);
    command.env("ROOT_ACCESS_KEY", ACCESS_KEY_ID).env("ROOT_SECRET_KEY", SECRET_ACCESS_KEY);
    command.args(["--quiet", "--port", &address.to_string(), "posix"]).arg(folder);
    let process = ProcessGroup::spawn_logged("versitygw", &mut command, log)?;
    let is_ready = wait_until(READY_LIMIT, || TcpStream::connect(address).is_ok());
    ensure!(is_ready, "versitygw did not listen on {address} within {} s", READY_LIMIT.as_secs());
    Ok(process)
}

fn build(context: &Context) -> Result<PathBuf> {
    let sources = context.e2e_dir("object-store");
    let program = context.build_dir("object-store")?.join("versitygw");
    if !is_newer_than_sources(&program, &sources) {
        let mut command = Command::new("go");
        command.current_dir(&sources).env("GOFLAGS", "-mod=readonly").env("CGO_ENABLED", "0");
        command.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"]).arg(&program).arg(PROGRAM);
        context.step("build of versitygw", &mut command, BUILD_LIMIT)?;
    }
    Ok(program)
}
