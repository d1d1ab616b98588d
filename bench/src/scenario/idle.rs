//! Idle: what a system holds and burns when it has just been started and nobody uses it.
use std::time::Duration;

use anyhow::Result;

use crate::report::{Metric, Report};
use crate::rounds::{Rounds, Sample};
use crate::subject::Subject;
use crate::surroundings;
use crate::usage;
use crate::workbench::Workbench;

const METRICS: [Metric; 3] =
    [Metric::at_most("RSS, MiB", 1, 0.1), Metric::new("peak RSS, MiB", 1), Metric::new("CPU-s while idle", 2)];

pub fn run(workbench: &Workbench, report: &mut Report) -> Result<()> {
    let rest = Duration::from_secs(workbench.pick(10, 3));
    let rounds = workbench.pick(Rounds { warm_up: 0, measured: 3 }, Rounds { warm_up: 0, measured: 1 });
    report.paragraph(&format!(
        "Each run starts on an empty data directory and reads the memory {} s after the system was ready. Millstream's process holds the \
         control plane, its database and the local object store besides the broker.",
        rest.as_secs()
    ));
    let mut samples = Vec::new();
    for round in 0..rounds.measured {
        for system in &workbench.systems {
            let load_average = surroundings::load_average();
            // Alone on the machine: the other system would take CPU time while it is idle, too.
            let subject = Subject::start(*system, workbench)?;
            let before = usage::cpu_seconds(subject.pid())?;
            std::thread::sleep(rest);
            let pid = subject.pid();
            let values = vec![usage::rss_mib(pid)?, usage::peak_rss_mib(pid)?, usage::cpu_seconds(pid)? - before];
            eprintln!("  idle, run {}, {system}: {:.1} MiB", round + 1, values[0]);
            samples.push(Sample {
                system: *system,
                name: format!("run {}", round + 1),
                is_measured: true,
                load_average,
                values,
            });
            if round + 1 == rounds.measured {
                report.settings(&[subject], workbench);
            }
        }
    }
    report.comparison("Idle", &METRICS, &samples);
    Ok(())
}
