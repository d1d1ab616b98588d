//! The suites that cargo runs: formatting and lints, the repository's own rules, unit tests.
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use millstream_e2e::context::Context;
use millstream_e2e::outcome::{Outcome, cargo_test_results};
use millstream_e2e::process::run_logged;
use millstream_e2e::suites::Suite;

use crate::{tidy, workspace};

const LIMIT: Duration = Duration::from_secs(3000);

pub const SUITES: &[Suite] = &[
    Suite { name: "lint", about: "cargo fmt and clippy", needs: &[], run: lint },
    Suite { name: "tidy", about: "the repository's own rules", needs: &[], run: tidy_suite },
    Suite { name: "unit", about: "cargo test --workspace", needs: &[], run: unit },
];

fn lint(context: &Context) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let format = ["fmt", "--all", "--check"];
    outcome.count(run_logged("cargo fmt", cargo(context).args(format), &context.log, LIMIT)?.success());
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    outcome.count(run_logged("cargo clippy", cargo(context).args(clippy), &context.log, LIMIT)?.success());
    Ok(outcome)
}

fn tidy_suite(context: &Context) -> Result<Outcome> {
    let findings = tidy::check(&context.repository)?;
    for finding in &findings {
        context.note(&finding.to_string());
    }
    let mut outcome = Outcome::default();
    findings.iter().for_each(|finding| outcome.count(finding.problems.is_empty()));
    Ok(outcome)
}

fn unit(context: &Context) -> Result<Outcome> {
    let mut command = cargo(context);
    command.args(["test", "--quiet", "--workspace", "--no-fail-fast"]);
    let status = run_logged("cargo test", &mut command, &context.log, LIMIT)?;
    let mut outcome = cargo_test_results(&context.log_since(0)?);
    if !status.success() && outcome.failed == 0 {
        // Something did not compile, or a test binary died.
        outcome.failed += 1;
    }
    Ok(outcome)
}

fn cargo(context: &Context) -> Command {
    let mut command = workspace::cargo();
    let target_dir: &Path = &context.target_dir;
    command.current_dir(&context.repository).env("CARGO_TARGET_DIR", target_dir);
    command
}
