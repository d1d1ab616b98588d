//! The control plane: how soon a change is felt at the broker, how many calls it answers, what a broker's stream costs. On SQLite and on
//! PostgreSQL, each time `millstream up` with everything at its default. Millstream only.
mod changes;
mod clusters;
pub(super) mod installation;
mod keys;
mod poll;
mod rates;
mod role_bindings;
mod streams;

use anyhow::{Result, bail};
use millstream_e2e::postgres::{Durability, Postgres};

use super::table::Line;
use crate::report::Report;
use crate::surroundings;
use crate::usage;
use crate::workbench::Workbench;
use installation::Installation;

/// A new organization may make twenty clusters a day, one of which it starts with.
const BASIC_PER_INSTALLATION: usize = 15;
/// Each is a broker of its own.
const DEDICATED_PER_INSTALLATION: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

pub fn run(workbench: &Workbench, report: &mut Report) -> Result<()> {
    report.paragraph(
        "Each installation is `millstream up` on an empty data directory; on PostgreSQL with `--database-url` and a server of its own with everything \
         at its default, reached by a Unix socket. The load generator shares the two cores. CPU is that of the process of `up` \
         (control plane, broker and S3 server) and, apart from it, of all processes of PostgreSQL. Times are from just before a request is sent; \
         a condition is tried again every 5 ms until it holds, so that the client keeps to the rates of a Basic cluster.",
    );
    let mut failures = Vec::new();
    for database in [Database::Sqlite, Database::Postgres] {
        let mut figures = Figures { database, lines: Vec::new(), failures: Vec::new() };
        if let Err(error) = measure(&mut figures, workbench) {
            figures.failures.push(format!("{}: {error:#}", database.name()));
        }
        Line::write_table(report, database.name(), figures.lines);
        failures.extend(figures.failures);
    }
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("; ")) }
}

/// What was measured on a database so far, and which parts failed: they do not stop the others.
struct Figures {
    database: Database,
    lines: Vec<Line>,
    failures: Vec<String>,
}

impl Figures {
    /// Takes a part's lines and prints them at once: an hour's figures are worth something even if the next part fails.
    fn add(&mut self, part: &str, measured: Result<Vec<Line>>) {
        match measured {
            Ok(lines) => {
                for line in &lines {
                    eprintln!("    {}: {}", line.name, line.cells.join(" | "));
                }
                self.lines.extend(lines);
            }
            Err(error) => {
                let failure = format!("{}, {part}: {error:#}", self.database.name());
                eprintln!("    failed: {failure}");
                self.failures.push(failure);
            }
        }
    }
}

fn measure(figures: &mut Figures, workbench: &Workbench) -> Result<()> {
    let database = figures.database;
    let server = match database {
        Database::Sqlite => None,
        Database::Postgres => Some(Postgres::start(Durability::Full, &workbench.context.log)?),
    };
    let server = server.as_ref();
    figures.add("clusters", clusters::measure(database, server, workbench));
    figures.add("config streams", streams::measure(database, server, workbench));
    progress(database, "an installation for the other measurements");
    let installation = Installation::start(server, "rates", workbench)?;
    figures.add("memory", costs("before any load", &installation, server));
    figures.add("keys", keys::measure(database, &installation, workbench));
    figures.add("role bindings", role_bindings::measure(database, &installation, workbench));
    figures.add("reads and creates", rates::measure(database, &installation, server, workbench));
    figures.add("memory", costs("after all loads", &installation, server));
    Ok(())
}

/// What the processes hold.
fn costs(when: &str, installation: &Installation, server: Option<&Postgres>) -> Result<Vec<Line>> {
    let memory =
        |name: &str, mib: f64| Line::value(&format!("RSS of {name} {when}"), format!("{mib:.0} MiB"), String::new());
    let mut lines = vec![memory("`up`", usage::rss_mib(installation.pid())?)];
    if let Some(server) = server {
        lines.push(memory("PostgreSQL, summed over its processes", usage::family_rss_mib(server.pid())?));
    }
    Ok(lines)
}

fn progress(database: Database, text: &str) {
    eprintln!("  {}, load average {}: {text}", database.name(), surroundings::load_average());
}
