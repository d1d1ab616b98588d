//! `millstream control-plane`: one replica alone.

#[allow(dead_code, reason = "each test binary uses its own part of the support")]
mod support;

use std::path::Path;

use serde_json::json;
use support::{Up, millstream, post, run, stderr};

fn start(folder: &Path, more: &[&str]) -> Up {
    let database = format!("sqlite:{}", folder.join("control-plane.sqlite").display());
    let mut command = millstream(folder);
    command.args(["control-plane", "-o", "json", "--http-listen", "127.0.0.1:0", "--fleet-listen", "127.0.0.1:0"]);
    command.args(["--database-url", &database, "--secret-dir"]).arg(folder.join("secrets")).args(more);
    Up::spawn(command.env("MILLSTREAM_AGENT_TOKEN", "a token"))
}

#[test]
fn it_serves_the_rest_api_and_keeps_what_it_was_told() {
    let folder = tempfile::tempdir().expect("folder");
    let first = start(folder.path(), &["--new-organization", "Acme"]);
    let credentials = first.ready.clone();
    post(&credentials, "/org/v2/environments", &json!({ "display_name": "staging" }));
    assert_eq!(first.stop("-TERM"), Some(0));

    let second = start(folder.path(), &[]);
    assert!(second.ready.get("cloud_api_key").is_none(), "{}", second.ready);
    let mut credentials = credentials;
    credentials["rest_url"] = second.ready["rest_url"].clone();
    post(&credentials, "/org/v2/environments", &json!({ "display_name": "production" }));
}

#[test]
fn it_names_what_it_lacks() {
    let folder = tempfile::tempdir().expect("folder");
    let nothing = run(folder.path(), "control-plane");
    assert_eq!(nothing.status.code(), Some(2));
    for flag in ["--database-url", "--agent-token", "--secret-dir"] {
        assert!(stderr(&nothing).contains(flag), "{}", stderr(&nothing));
    }
    let words = "control-plane --database-url mysql://x --agent-token t --secret-dir s --http-listen 127.0.0.1:0";
    let wrong = run(folder.path(), words);
    assert!(stderr(&wrong).contains("--database-url"), "{}", stderr(&wrong));
}
