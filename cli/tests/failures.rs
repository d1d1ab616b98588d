//! Errors: the message, the suggestion, the exit code.

#[allow(dead_code, reason = "each test binary uses its own part of the support")]
mod support;

use std::net::TcpListener;
use std::process::Output;

use support::{StandIn, millstream, run, stderr, stdout};

/// Runs a command with a cloud and a Kafka key against a URL.
fn run_with_keys(url: &str, words: &str) -> Output {
    let home = tempfile::tempdir().expect("home");
    millstream(home.path())
        .args(words.split_whitespace())
        .env("MILLSTREAM_URL", url)
        .env("MILLSTREAM_CLOUD_API_KEY", "CLOUDKEY")
        .env("MILLSTREAM_CLOUD_API_SECRET", "cloud-secret")
        .env("MILLSTREAM_KAFKA_API_KEY", "KAFKAKEY")
        .env("MILLSTREAM_KAFKA_API_SECRET", "kafka-secret")
        .env("MILLSTREAM_ENVIRONMENT", "env-a")
        .env("MILLSTREAM_CLUSTER", "lkc-a")
        .output()
        .expect("ran")
}

fn check(output: &Output, code: i32, message: &str, suggestion: &str) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.starts_with("Error: ") && text.contains(message), "{text}");
    assert!(text.contains("\nSuggestion: ") && text.contains(suggestion), "{text}");
    assert_eq!(stdout(output), "");
    assert!(!text.contains("-secret"), "{text}");
}

/// An address where nobody listens.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn without_a_login_the_way_in_is_shown() {
    let home = tempfile::tempdir().expect("home");
    for words in ["topic list", "environment list", "api-key list", "topic produce t", "client-config create java"] {
        check(&run(home.path(), words), 4, "not logged in", "millstream up");
    }
}

#[test]
fn a_service_that_does_not_answer_ends_with_5() {
    let closed = closed_port();
    for words in ["environment list", "environment describe env-x"] {
        check(&run_with_keys(&format!("http://{closed}"), words), 5, &closed, "millstream up");
    }
    let words = format!("topic consume t --bootstrap-server {closed}");
    check(&run_with_keys("http://127.0.0.1:1", &words), 5, &closed, "millstream up");
}

#[test]
fn what_does_not_exist_ends_with_3_and_shows_where_to_look() {
    let service = StandIn::start(|_| (404, r#"{"errors":[{"status":"404","detail":"No such thing."}]}"#.into()));
    check(
        &run_with_keys(&service.url, "environment describe env-x"),
        3,
        "No such thing",
        "millstream environment list",
    );
    check(&run_with_keys(&service.url, "cluster describe lkc-x"), 3, "No such thing", "millstream cluster list");
    check(&run_with_keys(&service.url, "api-key delete K --force"), 3, "K", "millstream api-key list");
    let kafka = StandIn::start(|_| (404, r#"{"error_code":40403,"message":"Unknown topic."}"#.into()));
    check(&run_with_keys(&kafka.url, "topic describe t"), 3, "Unknown topic", "millstream topic list");
}

#[test]
fn a_refused_key_ends_with_4_and_is_never_repeated() {
    for status in [401, 403] {
        let service = StandIn::start(move |_| (status, r#"{"errors":[{"detail":"invalid API key"}]}"#.into()));
        check(&run_with_keys(&service.url, "environment describe env-x"), 4, "invalid API key", "check the key");
    }
}

#[test]
fn every_other_refusal_ends_with_1() {
    for (status, body) in [(409, r#"{"errors":[{"detail":"taken"}]}"#), (500, "<html>oops</html>"), (502, "")] {
        let service = StandIn::start(move |_| (status, body.into()));
        let output = run_with_keys(&service.url, "environment create e");
        assert_eq!(output.status.code(), Some(1), "{status}: {}", stderr(&output));
    }
}

#[test]
fn programs_get_their_errors_as_json() {
    let service = StandIn::start(|_| (404, r#"{"errors":[{"detail":"gone"}]}"#.into()));
    let output = run_with_keys(&service.url, "environment describe env-x -o json");
    let error: serde_json::Value = serde_json::from_str(&stderr(&output)).expect("JSON");
    assert_eq!(error["error"]["kind"], "not_found");
    assert_eq!(error["error"]["exit_code"], 3);
    assert_eq!(error["error"]["message"], "gone");
}

#[test]
fn nothing_is_deleted_without_asking() {
    let service = StandIn::start(|_| (204, String::new()));
    check(&run_with_keys(&service.url, "topic delete t"), 2, "not a terminal", "--force");
    assert!(service.seen().is_empty());
}

#[test]
fn one_wrong_id_does_not_keep_the_others_from_being_deleted() {
    let service = StandIn::start(|seen| match seen.line.contains("/env-b") {
        true => (404, r#"{"errors":[{"detail":"gone"}]}"#.into()),
        false => (204, String::new()),
    });
    let output = run_with_keys(&service.url, "environment delete env-a env-b env-c --force -o json");
    assert_eq!(output.status.code(), Some(3));
    let deleted: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(deleted["deleted"], serde_json::json!(["env-a", "env-c"]));
    assert!(stderr(&output).contains("env-b"));
}

#[test]
fn lists_are_read_to_their_last_page_on_the_same_server() {
    let service = StandIn::start(|seen| match seen.line.contains("page_token=second") {
        true => (200, r#"{"data":[{"id":"env-2"}],"metadata":{"next":null}}"#.into()),
        false => {
            let next = "http://elsewhere.example/org/v2/environments?page_token=second";
            (200, format!(r#"{{"data":[{{"id":"env-1"}}],"metadata":{{"next":"{next}"}}}}"#))
        }
    });
    let output = run_with_keys(&service.url, "environment list -o json");
    let list: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
    assert_eq!(service.seen().len(), 2);
}

#[test]
fn each_plane_gets_its_own_key() {
    let service = StandIn::start(|_| (200, r#"{"data":[],"metadata":{}}"#.into()));
    run_with_keys(&service.url, "environment list");
    run_with_keys(&service.url, "topic list");
    let seen = service.seen();
    // CLOUDKEY:cloud-secret and KAFKAKEY:kafka-secret in base64.
    assert_eq!(seen[0].authorization, "Basic Q0xPVURLRVk6Y2xvdWQtc2VjcmV0");
    assert_eq!(seen[1].authorization, "Basic S0FGS0FLRVk6a2Fma2Etc2VjcmV0");
}

#[test]
fn a_created_key_shows_its_secret_this_one_time() {
    let service = StandIn::start(|_| {
        (201, r#"{"id":"NEWKEY","spec":{"secret":"brand-new","owner":{"id":"sa-a"},"resource":{"id":"lkc-a"}}}"#.into())
    });
    let output = run_with_keys(&service.url, "api-key create --resource lkc-a --service-account sa-a");
    assert!(output.status.success(), "{}", stderr(&output));
    insta::assert_snapshot!(stdout(&output));
    let sent: serde_json::Value = serde_json::from_str(&service.seen()[0].body).expect("JSON");
    assert_eq!(sent["spec"]["owner"]["id"], "sa-a");
    assert_eq!(sent["spec"]["resource"]["environment"], "env-a");
}

#[test]
fn a_list_is_a_table_for_people() {
    let service = StandIn::start(|_| {
        let cluster = r#"{"id":"lkc-a","spec":{"display_name":"orders","config":{"kind":"Basic"},"cloud":"AWS",
            "region":"us-east-1","availability":"SINGLE_ZONE"},"status":{"phase":"PROVISIONED"}}"#;
        (200, format!(r#"{{"data":[{cluster},{cluster}],"metadata":{{}}}}"#))
    });
    insta::assert_snapshot!(stdout(&run_with_keys(&service.url, "cluster list")));
}
