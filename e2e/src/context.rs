//! What a suite is given: where things are, which server to test, where to log.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::kafka::ApacheKafka;
use crate::millstream::Millstream;
use crate::need::{self, Need};
use crate::outcome::{self, Outcome};
use crate::process::{run_checked, run_logged};
use crate::server::Server;

/// Which server the client suites talk to. Apache Kafka is the reference: a check that fails there is our mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    Millstream,
    ApacheKafka,
}

/// The surroundings of one suite.
#[derive(Debug, Clone)]
pub struct Context {
    pub repository: PathBuf,
    pub target_dir: PathBuf,
    pub cache_dir: PathBuf,
    pub log: PathBuf,
    pub against: Against,
}

impl Context {
    /// A new server, empty, on free ports. Lives as long as the value.
    pub fn start_server(&self) -> Result<Box<dyn Server>> {
        match self.against {
            Against::Millstream => {
                let server = Millstream::start_new(self)?;
                server.make_standard()?;
                Ok(Box::new(server))
            }
            Against::ApacheKafka => Ok(Box::new(ApacheKafka::start_new(self)?)),
        }
    }

    /// A folder of this crate, such as `java`.
    pub fn e2e_dir(&self, name: &str) -> PathBuf {
        self.repository.join("e2e").join(name)
    }

    /// Where a suite puts what it builds.
    pub fn build_dir(&self, name: &str) -> Result<PathBuf> {
        let directory = self.target_dir.join("e2e").join(name);
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(directory)
    }

    /// Runs a step that must succeed, logged.
    pub fn step(&self, name: &str, command: &mut Command, limit: Duration) -> Result<()> {
        run_checked(name, command, &self.log, limit)
    }

    /// Runs a suite program and reads the count it prints at its end.
    pub fn run_suite_program(&self, name: &str, command: &mut Command, limit: Duration) -> Result<Outcome> {
        let before = self.log_size();
        let status = run_logged(name, command, &self.log, limit)?;
        let output = self.log_since(before)?;
        let Some(outcome) = outcome::closing_line(&output) else {
            bail!("{name} ended ({status}) without its closing line");
        };
        if !status.success() && outcome.failed == 0 {
            bail!("{name} ended with {status} although it counted no failure");
        }
        Ok(outcome)
    }

    pub fn log_size(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |metadata| metadata.len())
    }

    pub fn log_since(&self, position: u64) -> Result<String> {
        let bytes = std::fs::read(&self.log)?;
        let start = usize::try_from(position)?.min(bytes.len());
        Ok(String::from_utf8_lossy(&bytes[start..]).into_owned())
    }

    pub fn note(&self, line: &str) {
        use std::io::Write as _;
        if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(&self.log) {
            let _ = writeln!(file, "{line}");
        }
    }

    /// The jars of Apache Kafka and its tools; downloads them once.
    pub fn kafka_jars(&self) -> Result<PathBuf> {
        let root = self.cache_dir.join("kafka-4.3.1");
        let (libs, complete) = (root.join("libs"), root.join("complete"));
        if !complete.is_file() {
            require(&need::MAVEN)?;
            let mut command = Command::new("mvn");
            command.args(["-q", "-B", "-f"]).arg(self.e2e_dir("kafka").join("pom.xml"));
            command.arg("dependency:copy-dependencies").arg(format!("-DoutputDirectory={}", libs.display()));
            self.step("download of Apache Kafka", &mut command, Duration::from_secs(900))?;
            std::fs::write(&complete, "")?;
        }
        Ok(libs)
    }
}

fn require(need: &Need) -> Result<()> {
    if !need.is_met() {
        bail!("needs {}: {}", need.what, need.how);
    }
    Ok(())
}

/// True if `product` exists and is newer than every file under `sources`.
pub fn is_newer_than_sources(product: &Path, sources: &Path) -> bool {
    let Ok(built) = std::fs::metadata(product).and_then(|metadata| metadata.modified()) else { return false };
    let mut open = vec![sources.to_owned()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { return false };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { return false };
            if metadata.is_dir() {
                open.push(entry.path());
            } else if metadata.modified().map_or(true, |modified| modified > built) {
                return false;
            }
        }
    }
    true
}
