//! The command line.
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::scenario::Scenario;
use crate::subject::System;

/// What the caller asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub scenarios: Vec<Scenario>,
    /// Short runs that check the harness and prove nothing.
    pub quick: bool,
    pub systems: Vec<System>,
    pub data_dir: Option<PathBuf>,
}

impl Options {
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { scenarios: Vec::new(), quick: false, systems: System::ALL.to_vec(), data_dir: None };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{argument} needs a value\n{}", usage()));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.systems = vec![System::from_name(value()?).with_context(usage)?],
                "--data-dir" => options.data_dir = Some(value()?.into()),
                name => match Scenario::from_name(name) {
                    Some(scenario) => options.scenarios.push(scenario),
                    None => bail!("{name} is neither a scenario nor an option\n{}", usage()),
                },
            }
        }
        if options.scenarios.is_empty() {
            options.scenarios = Scenario::ALL.to_vec();
        }
        Ok(options)
    }
}

fn usage() -> String {
    let mut text = "usage: cargo xtask bench [SCENARIO]... [--quick] [--only kafka|millstream] [--data-dir DIR]\n
  --quick          short runs that check the harness; their reports go to the target folder and prove nothing
  --only NAME      one system instead of both
  --data-dir DIR   where both systems keep their data (default: the temporary folder)

scenarios (default: all):"
        .to_owned();
    for scenario in Scenario::ALL {
        text += &format!("\n  {:<13} {}", scenario.name(), scenario.about());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn without_arguments_every_scenario_runs_on_both_systems() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.scenarios, Scenario::ALL);
        assert_eq!(options.systems, System::ALL);
        assert!(!options.quick);
    }

    #[test]
    fn named_scenarios_run_in_the_order_given() {
        let options = parse(&["w3", "--quick", "start", "--only", "kafka"]).unwrap();
        assert_eq!(options.scenarios, [Scenario::RequestBound, Scenario::Start]);
        assert_eq!(options.systems, [System::ApacheKafka]);
        assert!(options.quick);
    }

    #[test]
    fn unknown_names_and_missing_values_are_refused_with_the_usage() {
        for arguments in [&["w9"][..], &["--only"], &["--only", "redpanda"], &["--slow"]] {
            let message = format!("{:#}", parse(arguments).unwrap_err());
            assert!(message.contains("usage:"), "{message}");
        }
    }
}
