//! A PostgreSQL server of a suite's own, in a temporary folder, reached by a Unix socket only.
//!
//! The server refuses to run as root: then it runs as the user `postgres` or `nobody`. Databases belong to a role that is no
//! superuser, so that row-level security holds for whoever connects. Nothing is flushed to disk unless a benchmark asks for it.
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::process::{ProcessGroup, run_checked, wait_until};

/// Where Debian puts the programs, beside the path.
const PROGRAM_DIRECTORIES: &[&str] =
    &["/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin"];
const SUPERUSER: &str = "superuser";
const OWNER: &str = "millstream";
const READY_LIMIT: Duration = Duration::from_secs(30);
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// How careful the server is with its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As an installation would run it.
    Full,
    /// Faster: a crash of the machine may lose the database.
    ForTests,
}

/// A running server; stopped when dropped.
#[derive(Debug)]
pub struct Postgres {
    process: ProcessGroup,
    directory: TempDir,
    programs: PathBuf,
    account: Option<Account>,
    log: PathBuf,
}

/// Whom the server runs as.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// Starts an empty server.
    pub fn start(durability: Durability, log: &Path) -> Result<Self> {
        let programs = find_programs().context("PostgreSQL is not installed: apt-get install postgresql")?;
        let account = Account::unless_ours()?;
        let directory = tempfile::Builder::new().prefix("millstream-pg-").tempdir()?;
        if let Some(account) = account {
            std::os::unix::fs::chown(directory.path(), Some(account.uid), Some(account.gid))?;
        }
        let data = directory.path().join("data");
        let mut initialize = command(&programs.join("initdb"), account, directory.path());
        initialize.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]);
        initialize.arg(format!("--username={SUPERUSER}")).arg("-D").arg(&data);
        run_checked("initdb", &mut initialize, log, STEP_LIMIT)?;
        let mut serve = command(&programs.join("postgres"), account, directory.path());
        serve.arg("-D").arg(&data).arg("-k").arg(directory.path());
        serve.args(["-c", "listen_addresses=", "-c", "logging_collector=off"]);
        if durability == Durability::ForTests {
            serve.args(["-c", "fsync=off"]);
        }
        let process = ProcessGroup::spawn_logged("postgres", &mut serve, log)?;
        let mut server = Self { process, directory, programs, account, log: log.to_owned() };
        server.wait_until_ready()?;
        server.run("psql", &["-c", &format!("CREATE ROLE {OWNER} LOGIN")])?;
        Ok(server)
    }

    /// An empty database; its URL.
    pub fn create_database(&self, name: &str) -> Result<String> {
        self.run("psql", &["-c", &format!("CREATE DATABASE {name} OWNER {OWNER}")])?;
        let socket = self.directory.path().display().to_string().replace('/', "%2F");
        Ok(format!("postgres://{OWNER}@{socket}/{name}"))
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let ready = wait_until(READY_LIMIT, || self.run("pg_isready", &["-q"]).is_ok());
        ensure!(ready, "PostgreSQL did not start within {} s", READY_LIMIT.as_secs());
        Ok(())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let mut command = command(&self.programs.join(program), self.account, self.directory.path());
        command.arg("-h").arg(self.directory.path()).args(["-U", SUPERUSER, "-d", "postgres"]).args(arguments);
        run_checked(program, &mut command, &self.log, STEP_LIMIT)
    }
}

fn find_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = PROGRAM_DIRECTORIES.iter().map(PathBuf::from);
    let has_all = |directory: &PathBuf| {
        ["initdb", "postgres", "psql", "pg_isready"].iter().all(|program| directory.join(program).exists())
    };
    known.chain(std::env::split_paths(&path)).find(has_all)
}

/// A program of PostgreSQL; a folder that its account cannot enter would stop it.
fn command(program: &Path, account: Option<Account>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

impl Account {
    /// Another account if this process runs as root.
    fn unless_ours() -> Result<Option<Self>> {
        if std::fs::metadata("/proc/self")?.uid() != 0 {
            return Ok(None);
        }
        let accounts = std::fs::read_to_string("/etc/passwd")?;
        let find = |name: &str| {
            let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2);
            Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        };
        match find("postgres").or_else(|| find("nobody")) {
            Some(account) => Ok(Some(account)),
            None => bail!("there is no account but root's to run PostgreSQL as"),
        }
    }
}
