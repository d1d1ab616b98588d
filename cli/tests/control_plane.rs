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
    let open = "control-plane --database-url sqlite:x --agent-token t --secret-dir s --fleet-listen 0.0.0.0:0";
    let refused = run(folder.path(), open);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("--fleet-insecure"), "{}", stderr(&refused));
    let no_certificate = run(folder.path(), &format!("{open} --fleet-client-ca ca.pem"));
    assert!(stderr(&no_certificate).contains("--fleet-tls-certificate"), "{}", stderr(&no_certificate));
    let words = "control-plane --database-url mysql://x --agent-token t --secret-dir s --http-listen 127.0.0.1:0";
    let wrong = run(folder.path(), words);
    assert!(stderr(&wrong).contains("--database-url"), "{}", stderr(&wrong));
}

#[test]
fn it_makes_the_first_organization_once_with_credentials_from_files() {
    let folder = tempfile::tempdir().expect("folder");
    let given = folder.path().join("first");
    std::fs::create_dir(&given).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(given.join(name), text).expect("written");
    write("api-key", "ABCDEFGHIJKLMNOP\n");
    write("api-secret", &"s".repeat(64));
    write("admin-email", "root@example.com");
    write("admin-password", "correct horse battery");
    let flags = ["--first-organization", "Acme", "--first-credentials", given.to_str().expect("a path")];
    for _ in 0..2 {
        let replica = start(folder.path(), &flags);
        let mut credentials = replica.ready.clone();
        assert!(credentials.get("cloud_api_secret").is_none(), "{credentials}");
        credentials["cloud_api_key"] = json!("ABCDEFGHIJKLMNOP");
        credentials["cloud_api_secret"] = json!("s".repeat(64));
        let name = format!("environment of {}", credentials["rest_url"]);
        post(&credentials, "/org/v2/environments", &json!({ "display_name": name }));
        assert_eq!(replica.stop("-TERM"), Some(0));
    }
}

#[test]
fn it_refuses_another_secret_for_the_first_key() {
    let folder = tempfile::tempdir().expect("folder");
    let given = folder.path().join("first");
    std::fs::create_dir(&given).expect("a folder");
    std::fs::write(given.join("api-key"), "ABCDEFGHIJKLMNOP").expect("written");
    std::fs::write(given.join("api-secret"), "s".repeat(64)).expect("written");
    let flags = ["--first-organization", "Acme", "--first-credentials", given.to_str().expect("a path")];
    assert_eq!(start(folder.path(), &flags).stop("-TERM"), Some(0));
    for (secret, word) in [("t".repeat(64), "has another secret"), ("short".to_owned(), "64 characters")] {
        std::fs::write(given.join("api-secret"), secret).expect("written");
        let database = format!("--database-url=sqlite:{}", folder.path().join("control-plane.sqlite").display());
        let mut command = millstream(folder.path());
        command.args(["control-plane", "--http-listen=127.0.0.1:0", "--fleet-listen=127.0.0.1:0", &database]);
        command.arg("--secret-dir").arg(folder.path().join("secrets")).args(flags);
        let refused = command.env("MILLSTREAM_AGENT_TOKEN", "a token").output().expect("it runs");
        assert_ne!(refused.status.code(), Some(0));
        assert!(stderr(&refused).contains(word), "{}", stderr(&refused));
    }
}

#[test]
fn callers_are_held_to_the_rates_of_its_flags() {
    const ENOUGH: usize = 50;
    let folder = tempfile::tempdir().expect("folder");
    let flags = ["--new-organization", "Acme", "--requests-per-second", "1", "--request-burst", "2"];
    let server = start(folder.path(), &flags);
    let refused = (0..ENOUGH).find_map(|number| {
        let mut client = millstream(folder.path());
        client.args(["environment", "create", &format!("environment-{number}"), "--url", &server.text("rest_url")]);
        client.env("MILLSTREAM_CLOUD_API_KEY", server.text("cloud_api_key"));
        let output =
            client.env("MILLSTREAM_CLOUD_API_SECRET", server.text("cloud_api_secret")).output().expect("it runs");
        (!output.status.success()).then_some(output)
    });
    let refused = refused.expect("a burst of two is over soon");
    assert!(stderr(&refused).contains("too many requests"), "{}", stderr(&refused));
}

#[test]
fn limits_that_make_no_sense_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("folder");
    for (flag, value) in [
        ("--requests-per-second", "0"),
        ("--request-burst", "-1"),
        ("--anonymous-requests-per-second", "many"),
        ("--anonymous-request-burst", "1000001"),
        ("--audit-retention-days", "0"),
        ("--audit-retention-days", "3651"),
    ] {
        for command in ["up", "control-plane --database-url sqlite:x --agent-token t --secret-dir s"] {
            let refused = run(folder.path(), &format!("{command} {flag}={value}"));
            assert_eq!(refused.status.code(), Some(2), "{command} {flag}={value}");
            assert!(stderr(&refused).contains(flag), "{}", stderr(&refused));
        }
    }
}
