//! `cargo xtask test`: every test of the repository, one suite after another, one line per suite, one closing line.
//! A suite that lacks a program is skipped and says how to get it; with `CI=true` that is a failure. Never hides a log: the tail of a
//! failing one is printed.
mod docs;
mod rust;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use millstream_e2e::cache::cache_dir;
use millstream_e2e::context::{Against, Context};
use millstream_e2e::outcome::Outcome;
use millstream_e2e::suites::{SUITES, Suite};

use crate::workspace;

const TAIL_LINES: usize = 30;
const MOST_FAILURES: usize = 40;
const LINES_PER_FAILURE: usize = 4;

/// What the command line asked for.
#[derive(Debug)]
struct Options {
    names: Vec<String>,
    against: Against,
    list: bool,
}

/// Runs the suites; true if nothing failed.
pub fn run(arguments: &[String]) -> Result<bool> {
    let options = parse(arguments)?;
    let suites: Vec<Suite> = rust::SUITES.iter().chain([&docs::SUITE]).chain(SUITES).copied().collect();
    if options.list {
        for suite in &suites {
            println!("{:16} {}", suite.name, suite.about);
        }
        return Ok(true);
    }
    let selected = select(&suites, &options.names)?;
    let repository = workspace::root();
    let target_dir = workspace::target_dir()?;
    let log_dir = target_dir.join("test-logs");
    std::fs::create_dir_all(&log_dir)?;
    let mut total = Outcome::default();
    for suite in selected {
        let context = Context {
            repository: repository.clone(),
            target_dir: target_dir.clone(),
            cache_dir: cache_dir(),
            log: log_dir.join(format!("{}.log", suite.name)),
            against: options.against,
        };
        total += run_suite(suite, &context);
    }
    println!("total: {total}");
    Ok(total.failed == 0)
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options { names: Vec::new(), against: Against::Millstream, list: false };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match (argument.as_str(), rest.as_slice().first().map(String::as_str)) {
            ("--list", _) => options.list = true,
            ("--suite", Some(name)) => {
                options.names.push(name.to_owned());
                rest.next();
            }
            ("--against", Some("kafka" | "apache-kafka")) => {
                options.against = Against::ApacheKafka;
                rest.next();
            }
            ("--against", Some("millstream")) => {
                rest.next();
            }
            _ => bail!("usage: cargo xtask test [--list] [--suite NAME]... [--against millstream|kafka]"),
        }
    }
    Ok(options)
}

fn select<'a>(suites: &'a [Suite], names: &[String]) -> Result<Vec<&'a Suite>> {
    if let Some(unknown) = names.iter().find(|name| suites.iter().all(|suite| suite.name != name.as_str())) {
        let known: Vec<_> = suites.iter().map(|suite| suite.name).collect();
        bail!("no suite is called {unknown}; there are {}", known.join(", "));
    }
    Ok(suites.iter().filter(|suite| names.is_empty() || names.iter().any(|name| name == suite.name)).collect())
}

fn run_suite(suite: &Suite, context: &Context) -> Outcome {
    let _ = std::fs::remove_file(&context.log);
    let missing: Vec<_> = suite.needs.iter().filter(|need| !need.is_met()).collect();
    if !missing.is_empty() {
        let why: Vec<_> = missing.iter().map(|need| format!("{} ({})", need.what, need.how)).collect();
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        let outcome = if in_ci { Outcome::failed(1) } else { Outcome::skipped(1) };
        println!("{}: {outcome} (0 s): needs {}", suite.name, why.join(" and "));
        return outcome;
    }
    announce(suite);
    let start = Instant::now();
    let result = (suite.run)(context);
    clear_announcement();
    let seconds = start.elapsed().as_secs();
    let outcome = match result {
        Ok(outcome) => {
            println!("{}: {outcome} ({seconds} s)", suite.name);
            outcome
        }
        Err(error) => {
            let outcome = Outcome::failed(1);
            println!("{}: {outcome} ({seconds} s): {error:#}", suite.name);
            outcome
        }
    };
    if outcome.failed > 0 {
        print_tail(&context.log);
    }
    outcome
}

fn announce(suite: &Suite) {
    if std::io::stdout().is_terminal() {
        print!("{}: {} …", suite.name, suite.about);
        let _ = std::io::stdout().flush();
    } else {
        println!("{}: running ({})", suite.name, suite.about);
    }
}

fn clear_announcement() {
    if std::io::stdout().is_terminal() {
        print!("\r\x1b[2K");
    }
}

fn print_tail(log: &Path) {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    println!("  --- {}, {} lines", display(log), lines.len());
    let failures = (0..lines.len()).filter(|&index| is_failure(lines[index])).take(MOST_FAILURES);
    for index in failures {
        for line in &lines[index..lines.len().min(index + LINES_PER_FAILURE)] {
            println!("  | {line}");
        }
    }
    println!("  --- its end");
    for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
        println!("  | {line}");
    }
}

/// How the suite programs mark a failed check.
fn is_failure(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("FAIL") || line.starts_with("--- FAIL") || line.ends_with("... FAILED")
}

fn display(path: &Path) -> String {
    let relative: PathBuf = std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned))
        .unwrap_or_else(|| path.to_owned());
    relative.display().to_string()
}
