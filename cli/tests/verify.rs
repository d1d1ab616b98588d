//! `millstream verify`: what it says when the service works and when it does not, and that it leaves nothing behind.

#[allow(dead_code, reason = "each test binary uses its own part of the support")]
mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::{StandIn, Up, millstream, run, stderr, stdout};

const STEPS: [&str; 7] = ["api", "cluster", "key", "topic", "produce", "consume", "clean up"];

fn with_login(data_dir: &Path, words: &str) -> Output {
    run(data_dir, &format!("{words} --data-dir {}", data_dir.display()))
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

/// Names of the steps that ended so.
fn steps(report: &Value, ok: bool) -> Vec<&str> {
    let steps = report["steps"].as_array().expect("steps");
    steps.iter().filter(|step| step["ok"] == ok).map(|step| step["step"].as_str().expect("a name")).collect()
}

fn check_nothing_is_left(data_dir: &Path) {
    for (words, first) in [("environment list -o json", "default"), ("service-account list -o json", "local-clients")] {
        let objects = json_of(&with_login(data_dir, words));
        let names: Vec<_> = objects.as_array().expect("a list").iter().map(|object| &object["display_name"]).collect();
        assert_eq!(names, [first], "{words}");
    }
}

#[test]
fn a_service_that_works_passes_every_step_with_and_without_tls() {
    for flags in [[].as_slice(), &["--tls"]] {
        let folder = tempfile::tempdir().expect("folder");
        let _up = Up::start(folder.path(), flags);
        let output = with_login(folder.path(), "verify -o json");
        assert!(output.status.success(), "{}", stderr(&output));
        let report = json_of(&output);
        assert_eq!((steps(&report, true), &report["ok"]), (STEPS.to_vec(), &Value::Bool(true)));
        check_nothing_is_left(folder.path());
    }
}

#[test]
fn a_key_in_a_folder_is_enough_and_each_step_is_a_line() {
    let (folder, home) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("home"));
    let up = Up::start(folder.path(), &[]);
    for (file, field) in [("api-key", "cloud_api_key"), ("api-secret", "cloud_api_secret")] {
        fs::write(home.path().join(file), up.text(field)).expect("written");
    }
    let words = format!("verify --url {} --cloud-api-key-dir {}", up.text("rest_url"), home.path().display());
    let output = run(home.path(), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), STEPS.len(), "{text}");
    assert!(lines.iter().zip(STEPS).all(|(line, step)| line.starts_with(&format!("ok    {step}"))), "{text}");
}

#[test]
fn what_was_made_before_a_failure_is_deleted() {
    let folder = tempfile::tempdir().expect("folder");
    let _up = Up::start(folder.path(), &[]);
    let output = with_login(folder.path(), "verify -o json --security-protocol SASL_SSL");
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stderr(&output).contains("produce: cannot agree on TLS"), "{}", stderr(&output));
    let report = json_of(&output);
    assert_eq!((steps(&report, false), &report["ok"]), (vec!["produce"], &Value::Bool(false)));
    assert_eq!(steps(&report, true), ["api", "cluster", "key", "topic", "clean up"]);
    check_nothing_is_left(folder.path());
}

#[test]
fn a_refused_key_fails_at_the_first_step_and_is_not_repeated() {
    let home = tempfile::tempdir().expect("home");
    let service = StandIn::start(|_| (401, r#"{"errors":[{"detail":"invalid API key"}]}"#.into()));
    let output = millstream(home.path())
        .args(["verify", "--url", &service.url])
        .env("MILLSTREAM_CLOUD_API_KEY", "CLOUDKEY")
        .env("MILLSTREAM_CLOUD_API_SECRET", "cloud-secret")
        .output()
        .expect("ran");
    assert_eq!(output.status.code(), Some(4));
    assert!(stdout(&output).starts_with("FAIL  api        invalid API key\n"), "{}", stdout(&output));
    assert!(stderr(&output).contains("Error: api: invalid API key") && !stderr(&output).contains("cloud-secret"));
}

#[test]
fn a_cluster_that_no_broker_takes_is_late_and_the_next_step_is_named() {
    let home = tempfile::tempdir().expect("home");
    let service = StandIn::start(|seen| match seen.line.split(' ').collect::<Vec<_>>()[..2] {
        ["POST", "/org/v2/environments"] => (201, r#"{"id":"env-a"}"#.into()),
        [_, path] if path.starts_with("/cmk/v2/clusters") && !seen.line.contains("page_size") => {
            (200, r#"{"id":"lkc-a","status":{"phase":"PROVISIONING"}}"#.into())
        }
        _ => (200, r#"{"data":[]}"#.into()),
    });
    let words = format!("verify --limit 1 --url {} --cloud-api-key A --cloud-api-secret B", service.url);
    let output = run(home.path(), &words);
    assert_eq!(output.status.code(), Some(5));
    let text = stderr(&output);
    assert!(text.contains("cluster: not done after 1 s") && text.contains("kubectl get kafkaclusters"), "{text}");
}
