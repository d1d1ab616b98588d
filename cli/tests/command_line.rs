//! What the command line looks like, and what it refuses.

#[allow(dead_code, reason = "each test binary uses its own part of the support")]
mod support;

use support::{millstream, run, stderr, stdout};

#[test]
fn help_of_every_command_is_as_agreed() {
    let home = tempfile::tempdir().expect("home");
    let commands = [
        "",
        "up",
        "control-plane",
        "broker",
        "operator",
        "operator run",
        "environment",
        "environment create",
        "cluster create",
        "cluster update",
        "service-account create",
        "api-key create",
        "api-key list",
        "role-binding create",
        "topic",
        "topic create",
        "topic update",
        "topic produce",
        "topic consume",
        "client-config create",
        "verify",
    ];
    let mut all = String::new();
    for command in commands {
        let output = run(home.path(), &format!("{command} --help"));
        assert!(output.status.success(), "{command}");
        all.push_str(&format!("$ millstream {command} --help\n{}\n", stdout(&output)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_why() {
    let home = tempfile::tempdir().expect("home");
    let cases = [
        ("topic", "Usage"),
        ("topic list --nonsense", "--nonsense"),
        ("topic consume", "<TOPIC>"),
        ("topic consume t --group g --partition 1", "--partition"),
        ("api-key create --resource lkc-a", "--service-account"),
        ("api-key update K", "--name"),
        ("role-binding create --principal sa-a", "--role"),
        ("environment delete", "<ID>"),
        ("cluster create c --type huge", "huge"),
        ("client-config create cobol", "cobol"),
        ("up --kafka-port 99999", "99999"),
        ("up --kafka-port 7000 --http-port 7000", "7000"),
        ("up --log =nonsense=", "--log"),
        ("topic create t --config nonsense", "NAME=VALUE"),
    ];
    for (words, expected) in cases {
        let output = run(home.path(), words);
        assert_eq!(output.status.code(), Some(2), "{words}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{words}: {}", stderr(&output));
    }
}

#[test]
fn help_never_shows_a_secret_of_the_environment() {
    let home = tempfile::tempdir().expect("home");
    let output = millstream(home.path())
        .args(["topic", "list", "--help"])
        .env("MILLSTREAM_CLOUD_API_SECRET", "hunter2")
        .env("MILLSTREAM_KAFKA_API_SECRET", "hunter2")
        .output()
        .expect("ran");
    assert!(!stdout(&output).contains("hunter2"));
}

#[test]
fn the_version_is_text_for_people_and_json_for_programs() {
    let home = tempfile::tempdir().expect("home");
    assert_eq!(stdout(&run(home.path(), "version")), format!("millstream {}\n", env!("CARGO_PKG_VERSION")));
    let object: serde_json::Value = serde_json::from_str(&stdout(&run(home.path(), "version -o json"))).expect("JSON");
    assert_eq!(object["version"], env!("CARGO_PKG_VERSION"));
}
