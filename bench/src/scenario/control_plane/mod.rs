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

use crate::histogram::Histogram;
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

/// What a time or a rate shall be.
#[derive(Debug, Clone, Copy)]
enum Goal {
    /// Of the 99th percentile, in milliseconds.
    P99Below(f64),
    AtLeast(f64),
    None,
}

/// A row of the report.
struct Line {
    name: String,
    cells: Vec<String>,
}

impl Line {
    /// Times in microseconds, shown in milliseconds.
    fn times(name: &str, histogram: &Histogram, goal: Goal) -> Self {
        let milliseconds = |micros: u64| micros as f64 / 1000.0;
        let p99 = milliseconds(histogram.percentile(99.0));
        let verdict = match goal {
            Goal::P99Below(limit) => format!("p99 < {limit:.0} ms {}", verdict(p99 < limit)),
            _ => String::new(),
        };
        let shown = |value: f64| format!("{value:.1}");
        let cells = vec![
            histogram.total().to_string(),
            shown(milliseconds(histogram.percentile(50.0))),
            shown(p99),
            shown(milliseconds(histogram.max())),
            verdict,
        ];
        Self { name: name.to_owned(), cells }
    }

    fn rate(name: &str, count: u64, per_second: f64, goal: Goal) -> Self {
        let verdict = match goal {
            Goal::AtLeast(limit) => format!("≥ {limit:.0}/s {}", verdict(per_second >= limit)),
            _ => String::new(),
        };
        Self {
            name: name.to_owned(),
            cells: vec![count.to_string(), format!("{per_second:.0}/s"), String::new(), String::new(), verdict],
        }
    }
}

fn verdict(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "**missed**" }
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
        let rows: Vec<Vec<String>> =
            figures.lines.into_iter().map(|line| std::iter::once(line.name).chain(line.cells).collect()).collect();
        let header = ["", "Count", "p50, ms, or rate", "p99, ms", "max, ms", "Target"];
        report.table(database.name(), &header, &rows);
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
    let memory = |name: &str, mib: f64| Line {
        name: format!("RSS of {name} {when}"),
        cells: vec![String::new(), format!("{mib:.0} MiB"), String::new(), String::new(), String::new()],
    };
    let mut lines = vec![memory("`up`", usage::rss_mib(installation.pid())?)];
    if let Some(server) = server {
        lines.push(memory("PostgreSQL, summed over its processes", usage::family_rss_mib(server.pid())?));
    }
    Ok(lines)
}

fn progress(database: Database, text: &str) {
    eprintln!("  {}, load average {}: {text}", database.name(), surroundings::load_average());
}
