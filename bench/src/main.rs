//! Side-by-side benchmarks against Apache Kafka.
//!
//! Starts both systems on one machine and one disk, gives both the same load in turn, reads what each costs from /proc and writes a
//! report per scenario. Promises that every load is checked: each answer's error code, and that as many records are in the log as were
//! acknowledged. Never looks inside a system: it sees what a client and the kernel see.
mod connection;
mod histogram;
mod load;
mod options;
mod report;
mod rounds;
mod scenario;
mod subject;
mod surroundings;
mod topic;
mod usage;
mod workbench;

use std::process::ExitCode;

use anyhow::Result;

use crate::options::Options;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::workbench::Workbench;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// True if every scenario ran to its end.
fn run(arguments: &[String]) -> Result<bool> {
    let options = Options::parse(arguments)?;
    let workbench = Workbench::new(&options)?;
    let mut complete = true;
    for scenario in &options.scenarios {
        if let Err(error) = run_scenario(*scenario, &workbench) {
            eprintln!("{}: failed: {error:#}", scenario.name());
            complete = false;
        }
    }
    Ok(complete)
}

fn run_scenario(scenario: Scenario, workbench: &Workbench) -> Result<()> {
    eprintln!("{}: {}", scenario.name(), scenario.about());
    let mut report = Report::new(scenario, workbench)?;
    let outcome = scenario.run(workbench, &mut report);
    if let Err(error) = &outcome {
        report.mark_incomplete(error, workbench);
    }
    let path = report.write()?;
    println!("{}", path.display());
    outcome
}
