//! Runs both systems in turn: A B A B …, warm-up rounds first.
use anyhow::{Context as _, Result};

use crate::subject::{Subject, System};
use crate::surroundings;

/// How often each system runs.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    /// Runs that are shown but not counted.
    pub warm_up: usize,
    pub measured: usize,
}

/// One run of one system.
#[derive(Debug, Clone)]
pub struct Sample {
    pub system: System,
    pub name: String,
    pub is_measured: bool,
    /// The first value of /proc/loadavg before the run.
    pub load_average: String,
    pub values: Vec<f64>,
}

/// Calls `run` with each system in turn. The name it is given is unique and may name a topic.
pub fn alternate(
    subjects: &mut [Subject],
    rounds: Rounds,
    label: &str,
    mut run: impl FnMut(&mut Subject, &str) -> Result<Vec<f64>>,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for round in 0..rounds.warm_up + rounds.measured {
        let is_measured = round >= rounds.warm_up;
        let name =
            if is_measured { format!("run {}", round - rounds.warm_up + 1) } else { format!("warm-up {}", round + 1) };
        for subject in subjects.iter_mut() {
            // What earlier runs left dirty must not be written during this one.
            rustix::fs::sync();
            let load_average = surroundings::load_average();
            let system = subject.system;
            let values =
                run(subject, &format!("{label}-{round}")).with_context(|| format!("{label}, {system}, {name}"))?;
            let shown = values.iter().map(|value| format!("{value:.2}")).collect::<Vec<_>>().join(" ");
            eprintln!("  {label}, {name}, {system}: {shown}");
            samples.push(Sample { system, name: name.clone(), is_measured, load_average, values });
        }
    }
    Ok(samples)
}
