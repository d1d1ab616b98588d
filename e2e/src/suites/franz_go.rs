//! franz-go from the Go module proxy: our checks with its client, and the integration tests that its authors wrote.
//! Those cannot log in with PLAIN, so a small proxy logs in for them; see proxy.go.
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::Suite;
use super::sasl_proxy::{SaslProxy, build_program};
use crate::context::Context;
use crate::need;
use crate::outcome::Outcome;
use crate::process::run_logged;

pub const FRANZ_GO: Suite =
    Suite { name: "franz-go", about: "franz-go: produce, consume, groups, admin", needs: &[need::GO], run: run_checks };

pub const KGO: Suite = Suite {
    name: "kgo-upstream",
    about: "the integration tests of franz-go's authors",
    needs: &[need::GO],
    run: run_upstream,
};

const BUILD_LIMIT: Duration = Duration::from_secs(900);
const RUN_LIMIT: Duration = Duration::from_secs(600);
const MODULE: &str = "github.com/twmb/franz-go";
/// As few records as upstream's own continuous integration dares.
const RECORDS: &str = "10000";

/// The variants of upstream's tests for KIP-848, which this broker does not advertise: they would skip themselves.
const UPSTREAM_VARIANTS_LEFT_OUT: &str = "TestGroupSimple/848|TestGroupETL/.*/848";

/// Upstream's tests that need a broker. Left out:
/// - transactions, share groups, KIP-848 and SCRAM, which this broker does not advertise;
/// - `TestConsumeRegex`, which wants to see the topic `__consumer_offsets`: no tenant sees it here;
/// - `TestIssueFetchLargerThanBrokerMaxReadBytes`, which wants a `max.message.bytes` above what a tenant may set.
const UPSTREAM_TESTS: &[&str] = &[
    "TestPing",
    "TestClient_Produce",
    "TestClient_ProduceLargeMessages",
    "TestGroupSimple",
    "TestGroupETL",
    "TestAddRemovePartitions",
    "TestConsumeMaxDecompressBatchBytes",
    "TestDirectPartitionPurge",
    "TestHookPollStart",
    "TestIssue1034",
    "TestIssue325",
    "TestIssue337",
    "TestIssue434",
    "TestIssue523",
    "TestIssue648",
    "TestIssue769",
    "TestIssue810",
    "TestIssue831",
    "TestIssue865",
    "TestIssueProduceSyncManualPartitionNegativeDoesNotPanic",
    "TestPauseIssue489",
    "TestPauseIssueOct2023",
    "TestPooling",
];

fn run_checks(context: &Context) -> Result<Outcome> {
    let program = build_program(context)?;
    let server = context.start_server()?;
    let mut command = Command::new(program);
    server.access().set_environment(command.arg("checks"));
    context.run_suite_program("franz-go", &mut command, RUN_LIMIT)
}

fn run_upstream(context: &Context) -> Result<Outcome> {
    let (tests, directory) = build_upstream_tests(context)?;
    let server = context.start_server()?;
    let proxy = SaslProxy::start(context, server.access())?;
    let mut command = Command::new(tests);
    command.current_dir(directory).args(["-test.v", "-test.timeout", "9m", "-test.run"]);
    command.arg(format!("^({})$", UPSTREAM_TESTS.join("|")));
    command.args(["-test.skip", UPSTREAM_VARIANTS_LEFT_OUT]);
    command.env("KGO_SEEDS", proxy.address()).env("KGO_TEST_RF", "1").env("KGO_TEST_RECORDS", RECORDS);
    command.env("KGO_TEST_STABLE_FETCH", "true").env("KGO_LOG_LEVEL", "none");
    let status = run_logged("kgo tests", &mut command, &context.log, RUN_LIMIT)?;
    let outcome = go_test_results(&context.log_since(0)?);
    if !status.success() && outcome.failed == 0 {
        bail!("the tests of franz-go ended with {status}");
    }
    Ok(outcome)
}

/// Compiles upstream's tests inside the module cache, where their own go.mod applies.
fn build_upstream_tests(context: &Context) -> Result<(PathBuf, PathBuf)> {
    let listed = Command::new("go")
        .current_dir(context.e2e_dir("franz-go"))
        .args(["list", "-m", "-f", "{{.Version}} {{.Dir}}", MODULE])
        .output()
        .context("cannot run go list")?;
    let listed = String::from_utf8(listed.stdout)?;
    let (version, directory) =
        listed.trim().split_once(' ').ok_or_else(|| anyhow!("go list does not know {MODULE}"))?;
    let directory = PathBuf::from(directory).join("pkg/kgo");
    let program = context.build_dir("franz-go")?.join(format!("kgo-{version}.test"));
    if !program.is_file() {
        let mut command = Command::new("go");
        command.current_dir(&directory).args(["test", "-c", "-o"]).arg(&program).arg(".");
        context.step("go test -c", &mut command, BUILD_LIMIT)?;
    }
    Ok((program, directory))
}

/// Counts the results of `go test -v`, subtests too.
fn go_test_results(output: &str) -> Outcome {
    let count = |mark: &str| output.lines().filter(|line| line.trim_start().starts_with(mark)).count() as u64;
    Outcome { passed: count("--- PASS: "), failed: count("--- FAIL: "), skipped: count("--- SKIP: ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtests_count_too() {
        let output = "=== RUN   TestA\n--- PASS: TestA (0.1s)\n    --- PASS: TestA/b (0.0s)\n--- FAIL: TestC (1s)\n--- SKIP: TestD (0s)\nFAIL\n";
        assert_eq!(go_test_results(output), Outcome { passed: 2, failed: 1, skipped: 1 });
    }
}
