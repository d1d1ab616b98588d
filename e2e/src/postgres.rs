//! A PostgreSQL server of a suite's own, in a temporary folder, reached by a Unix socket and, if asked, by TLS and a password.
//!
//! The server refuses to run as root: then it runs as the user `postgres` or `nobody`. Databases belong to a role that is no
//! superuser, so that row-level security holds for whoever connects. Nothing is flushed to disk unless a benchmark asks for it.
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::process::{ProcessGroup, run_checked, wait_until};

/// Where Debian puts the programs, beside the path.
const PROGRAM_DIRECTORIES: &[&str] =
    &["/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin"];
const SUPERUSER: &str = "superuser";
const OWNER: &str = "millstream";
/// The name that PostgreSQL gives the socket in its directory.
pub const SOCKET: &str = ".s.PGSQL.5432";
const READY_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// How careful the server is with its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As an installation would run it.
    Full,
    /// Faster: a crash of the machine may lose the database.
    ForTests,
}

/// Where clients on other machines connect. No `Debug`: it holds a secret.
pub struct Network {
    pub address: IpAddr,
    pub certificates: Certificates,
    pub password: String,
}

/// A server; stopped when dropped.
#[derive(Debug)]
pub struct Postgres {
    process: ProcessGroup,
    directory: TempDir,
    programs: PathBuf,
    account: Option<Account>,
    settings: Vec<String>,
    log: PathBuf,
}

/// Whom the server runs as.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// Starts an empty server behind a socket.
    pub fn start(durability: Durability, log: &Path) -> Result<Self> {
        Self::start_with(durability, None, log)
    }

    /// Starts an empty server that other machines reach too: by TLS alone, with a password.
    pub fn start_on(network: &Network, log: &Path) -> Result<Self> {
        Self::start_with(Durability::ForTests, Some(network), log)
    }

    fn start_with(durability: Durability, network: Option<&Network>, log: &Path) -> Result<Self> {
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
        let mut settings = vec!["logging_collector=off".to_owned()];
        if durability == Durability::ForTests {
            settings.push("fsync=off".to_owned());
        }
        match network {
            Some(network) => settings.extend(open_to(network, account, &data)?),
            None => settings.push("listen_addresses=".to_owned()),
        }
        let process = serve(&programs, account, directory.path(), &settings, log)?;
        let server = Self { process, directory, programs, account, settings, log: log.to_owned() };
        server.wait_until_ready()?;
        let password = network.map(|network| format!(" PASSWORD '{}'", network.password)).unwrap_or_default();
        server.query("postgres", &format!("CREATE ROLE {OWNER} LOGIN{password}"))?;
        Ok(server)
    }

    /// An empty database; its URL.
    pub fn create_database(&self, name: &str) -> Result<String> {
        self.run("psql", &["-c", &format!("CREATE DATABASE {name} OWNER {OWNER}")])?;
        Ok(url_through(self.directory.path(), name))
    }

    /// Where its clients connect.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join(SOCKET)
    }

    /// What a query of one value answers, past row-level security.
    pub fn query(&self, database: &str, query: &str) -> Result<String> {
        let mut command = command(&self.programs.join("psql"), self.account, self.directory.path());
        command.arg("-h").arg(self.directory.path()).args(["-U", SUPERUSER, "-d", database, "-qAtc", query]);
        let output = command.output().context("cannot run psql")?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Copies a database to another one. Nobody may be connected to it.
    pub fn copy_database(&self, from: &str, to: &str) -> Result<()> {
        self.run("psql", &["-c", &format!("CREATE DATABASE {to} OWNER {OWNER} TEMPLATE {from}")])
    }

    /// Puts a copy in the place of a database. Nobody may be connected to either.
    pub fn restore_database(&self, copy: &str, database: &str) -> Result<()> {
        self.run("psql", &["-c", &format!("DROP DATABASE {database}")])?;
        self.copy_database(copy, database)
    }

    /// Cuts every connection and stops the server.
    pub fn stop(&mut self) -> Result<()> {
        // SIGINT is the server's fast shutdown.
        let status = self.process.interrupt(STOP_LIMIT)?;
        ensure!(status.success(), "PostgreSQL ended with {status}");
        Ok(())
    }

    /// Starts it on the same data.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = serve(&self.programs, self.account, self.directory.path(), &self.settings, &self.log)?;
        self.wait_until_ready()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    fn wait_until_ready(&self) -> Result<()> {
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

/// The URL of a database of `Network`, for clients that find its authority in the file `ca.crt` of `directory`.
pub fn url_on(network: &Network, database: &str, directory: &str) -> String {
    let Network { address, password, .. } = network;
    format!(
        "postgres://{OWNER}:{password}@{address}:5432/{database}?sslmode=verify-full&sslrootcert={directory}/ca.crt"
    )
}

/// The URL of a database behind a socket in a directory.
pub fn url_through(directory: &Path, database: &str) -> String {
    let directory = directory.display().to_string().replace('/', "%2F");
    format!("postgres://{OWNER}@{directory}/{database}")
}

fn serve(
    programs: &Path,
    account: Option<Account>,
    directory: &Path,
    settings: &[String],
    log: &Path,
) -> Result<ProcessGroup> {
    let mut serve = command(&programs.join("postgres"), account, directory);
    serve.arg("-D").arg(directory.join("data")).arg("-k").arg(directory);
    serve.args(settings.iter().flat_map(|setting| ["-c", setting]));
    ProcessGroup::spawn_logged("postgres", &mut serve, log)
}

/// Writes what the server needs for clients on other machines; the settings that name it.
fn open_to(network: &Network, account: Option<Account>, data: &Path) -> Result<Vec<String>> {
    let (certificate, key, rules) = (data.join("server.crt"), data.join("server.key"), data.join("pg_hba.conf"));
    std::fs::write(&certificate, &network.certificates.certificate)?;
    std::fs::write(&key, &network.certificates.key)?;
    // The server refuses a key that others may read.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
    if let Some(account) = account {
        for file in [&certificate, &key] {
            std::os::unix::fs::chown(file, Some(account.uid), Some(account.gid))?;
        }
    }
    std::fs::write(rules, format!("local all all trust\nhostssl all {OWNER} all scram-sha-256\n"))?;
    Ok(vec![format!("listen_addresses={}", network.address), "ssl=on".to_owned()])
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
