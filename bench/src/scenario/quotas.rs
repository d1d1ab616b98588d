//! What clients get of a cluster's rates over a minute.
use std::time::Duration;

use anyhow::Result;
use millstream_e2e::suites::quotas;

use crate::report::Report;
use crate::workbench::Workbench;

/// The test command's measurements, for longer.
pub fn run(workbench: &Workbench, report: &mut Report) -> Result<()> {
    let window = Duration::from_secs(workbench.pick(60, 10));
    let context = &workbench.context;
    let before = context.log_size();
    let outcome = quotas::run_for(context, window)?;
    let log = context.log_since(before)?;
    report.paragraph(&format!(
        "The checks of `cargo xtask test --suite quotas`, each over {} s: {outcome}. Measured rate, limit and their ratio, then the check \
         that it belongs to.",
        window.as_secs()
    ));
    let lines =
        log.lines().filter(|line| line.starts_with("ok ") || line.starts_with("FAIL") || line.starts_with("     "));
    report.paragraph(&format!("```\n{}\n```", lines.collect::<Vec<_>>().join("\n")));
    Ok(())
}
