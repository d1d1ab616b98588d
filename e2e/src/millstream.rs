//! Millstream started as a user would start it: the release binary, `millstream up`, on free ports with a data directory of its own.
//! Reads nothing but the JSON that the command prints.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::context::Context;
use crate::process::{ProcessGroup, free_port, start_and_wait};
use crate::server::{Access, RestAccess, Server};

const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A `millstream up` and its data directory.
#[derive(Debug)]
pub struct Millstream {
    process: ProcessGroup,
    access: Access,
    data_dir: TempDir,
    launch: Launch,
}

/// How it is started, each time.
#[derive(Debug)]
struct Launch {
    binary: PathBuf,
    arguments: Vec<String>,
    kafka_port: u16,
    http_port: u16,
    log: PathBuf,
}

impl Millstream {
    /// Builds the program if need be and starts it on an empty data directory.
    pub fn start_new(context: &Context) -> Result<Self> {
        build_once(context)?;
        Self::start_binary(&binary(context), &context.log)
    }

    /// The same with the control plane's data in a database of PostgreSQL.
    pub fn start_new_on(context: &Context, database_url: &str) -> Result<Self> {
        build_once(context)?;
        Self::start_binary_with(&binary(context), &["--database-url".to_owned(), database_url.to_owned()], &context.log)
    }

    /// Starts the given program on an empty data directory.
    pub fn start_binary(binary: &Path, log: &Path) -> Result<Self> {
        Self::start_binary_with(binary, &[], log)
    }

    /// The same with more arguments.
    pub fn start_binary_with(binary: &Path, arguments: &[String], log: &Path) -> Result<Self> {
        let data_dir = tempfile::Builder::new().prefix("millstream-").tempdir()?;
        let launch = Launch {
            binary: binary.to_owned(),
            arguments: arguments.to_vec(),
            kafka_port: free_port()?,
            http_port: free_port()?,
            log: log.to_owned(),
        };
        let (process, access) = launch.start(data_dir.path())?;
        Ok(Self { process, access, data_dir, launch })
    }

    /// Makes the first cluster a Standard one. Suites and benchmarks that make and delete many topics need its limits: a Basic cluster
    /// may change 250 partitions in five minutes.
    pub fn make_standard(&self) -> Result<()> {
        let cluster = self.access.rest.as_ref().map(|rest| rest.cluster_id.clone()).unwrap_or_default();
        let mut command = Command::new(&self.launch.binary);
        command.args(["cluster", "update", &cluster, "--type", "standard", "--output", "json"]);
        let output = command.env("MILLSTREAM_DATA_DIR", self.data_dir.path()).output()?;
        if !output.status.success() {
            bail!("millstream cluster update: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }
}

/// Names a program that was built already, for trying one version's suites on another version.
const BINARY_VARIABLE: &str = "MILLSTREAM_BINARY";

/// The release binary of this workspace, or the one that the environment names.
pub fn binary(context: &Context) -> PathBuf {
    let built = || context.target_dir.join("release").join("millstream");
    std::env::var_os(BINARY_VARIABLE).map_or_else(built, PathBuf::from)
}

/// Builds the release binary the first time that somebody asks, so that many servers need one build.
pub fn build_once(context: &Context) -> Result<()> {
    static BUILT: Mutex<bool> = Mutex::new(false);
    let mut built = BUILT.lock().map_err(|_| anyhow!("an earlier build panicked"))?;
    if !*built && std::env::var_os(BINARY_VARIABLE).is_none() {
        build(context)?;
    }
    *built = true;
    Ok(())
}

/// Builds the release binary.
pub fn build(context: &Context) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&context.repository).env("CARGO_TARGET_DIR", &context.target_dir);
    command.args(["build", "--quiet", "--release", "--package", "millstream"]);
    context.step("cargo build --release --package millstream", &mut command, Duration::from_secs(3600))
}

impl Server for Millstream {
    fn name(&self) -> &'static str {
        "millstream"
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn kill_hard(&mut self) {
        self.process.kill_hard();
    }

    fn stop(&mut self) -> Result<()> {
        let status = self.process.interrupt(STOP_LIMIT)?;
        if !status.success() {
            bail!("millstream up ended with {status} on Ctrl-C");
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.process.kill_hard();
        let (process, access) = self.launch.start(self.data_dir.path())?;
        let same_key = access.api_key == self.access.api_key && access.api_secret == self.access.api_secret;
        self.process = process;
        self.access = access;
        if !same_key {
            bail!("a second start on the same data directory printed another API key");
        }
        Ok(())
    }
}

impl Launch {
    fn start(&self, data_dir: &Path) -> Result<(ProcessGroup, Access)> {
        let mut command = Command::new(&self.binary);
        command.arg("up").arg("--data-dir").arg(data_dir).args(["--output", "json"]).args(&self.arguments);
        command.args(["--kafka-port", &self.kafka_port.to_string(), "--http-port", &self.http_port.to_string()]);
        let (process, document) = start_and_wait("millstream up", &mut command, &self.log)?;
        Ok((process, parse_access(&document)?))
    }
}

fn parse_access(document: &Value) -> Result<Access> {
    let field = |name: &str| {
        let text = document.get(name).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| anyhow!("the JSON of millstream up has no field {name}"))
    };
    for name in ["organization_id", "data_dir"] {
        field(name)?;
    }
    if document.get("pid").and_then(Value::as_u64).is_none() {
        bail!("the JSON of millstream up has no field pid");
    }
    Ok(Access {
        bootstrap_servers: field("bootstrap_servers")?,
        api_key: field("kafka_api_key")?,
        api_secret: field("kafka_api_secret")?,
        rest: Some(RestAccess {
            url: field("rest_url")?,
            environment_id: field("environment_id")?,
            cluster_id: field("cluster_id")?,
            cloud_api_key: field("cloud_api_key")?,
            cloud_api_secret: field("cloud_api_secret")?,
        }),
    })
}
