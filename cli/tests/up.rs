//! `millstream up`: starts that must fail, and the story from start to restart.

#[allow(dead_code, reason = "each test binary uses its own part of the support")]
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Up, millstream, run, stderr, stdout};

fn up_words(data_dir: &Path, rest: &str) -> String {
    format!("up --data-dir {} {rest}", data_dir.display())
}

fn check_refused(output: &Output, expected: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(expected.iter().all(|part| text.contains(part)), "{expected:?} in {text}");
    assert_eq!(text.lines().count(), 2, "one message and one suggestion: {text}");
    assert_eq!(stdout(output), "");
}

#[test]
fn a_port_in_use_is_named_with_its_flag_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = folder.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let kafka = run(folder.path(), &up_words(&data_dir, &format!("--kafka-port {port} --http-port 0")));
    check_refused(&kafka, &[&port.to_string(), "--kafka-port"]);
    let http = run(folder.path(), &up_words(&data_dir, &format!("--http-port {port} --kafka-port 0")));
    check_refused(&http, &[&port.to_string(), "--http-port"]);
    assert!(!data_dir.exists());
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("file");
    let output = run(folder.path(), &up_words(&file.join("data"), "--kafka-port 0 --http-port 0"));
    check_refused(&output, &["not writable", "--data-dir"]);
}

#[test]
fn a_directory_of_a_newer_release_is_left_alone() {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("version"), "99\n").expect("version");
    let output = run(folder.path(), &up_words(folder.path(), "--kafka-port 0 --http-port 0"));
    check_refused(&output, &["99", "newer", "--data-dir"]);
    assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1);
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("thesis.tex"), "").expect("file");
    let output = run(folder.path(), &up_words(folder.path(), "--kafka-port 0 --http-port 0"));
    check_refused(&output, &["--data-dir"]);
    assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1);
}

/// Runs a command with the credentials file of a running service.
fn with_login(data_dir: &Path, words: &str) -> Output {
    with_input(data_dir, words, "")
}

fn spawn_with_login(data_dir: &Path, words: &str) -> Child {
    millstream(data_dir)
        .args(words.split_whitespace())
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started")
}

fn with_input(data_dir: &Path, words: &str, input: &str) -> Output {
    let mut child = spawn_with_login(data_dir, words);
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A command that reads no input may be gone by now.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success(), "{words}: {}", stderr(&output));
    output
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(output)))
}

#[test]
fn a_second_service_in_the_same_directory_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = folder.path().join("data");
    let up = Up::start(&data_dir, &[]);
    let output = run(folder.path(), &up_words(&data_dir, "--kafka-port 0 --http-port 0"));
    check_refused(&output, &[&up.child.id().to_string(), "in use", "--data-dir"]);
    assert_eq!(up.stop("-TERM"), Some(0));
}

#[test]
fn the_first_start_makes_everything_and_the_second_prints_the_same() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = folder.path().join("data");
    let up = Up::start(&data_dir, &[]);
    let fields = [
        "bootstrap_servers",
        "rest_url",
        "organization_id",
        "environment_id",
        "cluster_id",
        "kafka_api_key",
        "kafka_api_secret",
        "cloud_api_key",
        "cloud_api_secret",
        "data_dir",
    ];
    for field in fields {
        assert!(!up.text(field).is_empty(), "{field}");
    }
    assert_eq!(up.ready["pid"], up.child.id());
    let file = data_dir.join("credentials.json");
    assert_eq!(fs::metadata(&file).expect("file").permissions().mode() & 0o777, 0o600);
    assert_eq!(up.text("admin_email"), "admin@localhost");
    assert!(up.ready.get("admin_password").is_none(), "the password is in the file alone");
    let first = up.ready.clone();
    assert_eq!(up.stop("-INT"), Some(0));

    let up = Up::start(&data_dir, &[]);
    for field in fields.iter().filter(|field| !["bootstrap_servers", "rest_url"].contains(field)) {
        assert_eq!(up.ready[field], first[field], "{field}");
    }
    assert_eq!(up.stop("-TERM"), Some(0));
}

#[test]
fn the_first_user_logs_in_and_out() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = folder.path().join("data");
    let up = Up::start(&data_dir, &["--admin-email", "Ann@Example.com"]);
    let file = fs::read(data_dir.join("credentials.json")).expect("credentials");
    let credentials: Value = serde_json::from_slice(&file).expect("JSON");
    let password = credentials["admin_password"].as_str().expect("a password");
    let wrong = millstream(folder.path())
        .args(["login", "--email", "ann@example.com", "--data-dir"])
        .arg(&data_dir)
        .env("MILLSTREAM_PASSWORD", "not the password")
        .output()
        .expect("ran");
    assert_eq!(wrong.status.code(), Some(4), "{}", stderr(&wrong));
    assert!(stderr(&wrong).contains("password is wrong") && !data_dir.join("session.json").exists());
    let output = with_input(&data_dir, "login --email ann@example.com -o json", &format!("{password}\n"));
    assert_eq!(json_of(&output)["organization_id"], up.ready["organization_id"]);
    let session_file = data_dir.join("session.json");
    assert_eq!(fs::metadata(&session_file).expect("file").permissions().mode() & 0o777, 0o600);
    let session = fs::read_to_string(&session_file).expect("session");
    assert!(!session.contains(password) && !stdout(&output).contains("eyJ"), "neither password nor token");
    with_login(&data_dir, "environment create of-a-user");

    with_login(&data_dir, "logout");
    assert!(!session_file.exists());
    // The token is worth nothing any more, wherever somebody kept it.
    fs::write(&session_file, session).expect("written");
    let refused = run(folder.path(), &format!("environment list --data-dir {}", data_dir.display()));
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    with_login(&data_dir, "logout");
    with_login(&data_dir, "environment list");
    assert_eq!(up.stop("-TERM"), Some(0));
}

#[test]
fn a_directory_of_a_release_without_logins_starts_without_one() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = folder.path().join("data");
    assert_eq!(Up::start(&data_dir, &[]).stop("-TERM"), Some(0));
    let path = data_dir.join("credentials.json");
    let mut credentials: Value = serde_json::from_slice(&fs::read(&path).expect("credentials")).expect("JSON");
    let fields = credentials.as_object_mut().expect("an object");
    assert!(fields.remove("admin_email").is_some() && fields.remove("admin_password").is_some());
    fs::write(&path, credentials.to_string()).expect("written");
    let up = Up::start(&data_dir, &[]);
    assert!(up.ready.get("admin_email").is_none() && up.ready.get("cluster_id").is_some());
    assert_eq!(up.stop("-TERM"), Some(0));
}

#[test]
fn the_story_of_the_readme_and_a_crash_that_loses_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = folder.path().join("data");
    let up = Up::start(&data_dir, &[]);
    with_login(&data_dir, "topic create tweets --partitions 3 --config retention.ms=3600000");
    let described = json_of(&with_login(&data_dir, "topic describe tweets -o json"));
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(3), "{described}");
    let lines: String = (0..500).map(|number| format!("user-{number}\t{{\"n\":{number}}}\n")).collect();
    with_input(&data_dir, "topic produce tweets --key-separator \\t --compression zstd", &lines);
    up.crash();

    let up = Up::start(&data_dir, &[]);
    let consumed = with_login(&data_dir, "topic consume tweets --from-beginning --exit-at-end --print-key");
    let mut received: Vec<String> = stdout(&consumed).lines().map(str::to_string).collect();
    let mut sent: Vec<String> = lines.lines().map(str::to_string).collect();
    received.sort();
    sent.sort();
    assert_eq!(received, sent);
    let first = with_login(&data_dir, "topic consume tweets --from-beginning -n 7 --group readers");
    let rest = with_login(&data_dir, "topic consume tweets --from-beginning --exit-at-end --group readers");
    assert_eq!(stdout(&first).lines().count() + stdout(&rest).lines().count(), 500);
    let words = "topic update tweets --partitions 4 --config retention.ms=7200000 -o json";
    let updated = json_of(&with_login(&data_dir, words));
    assert_eq!(updated["partitions"].as_array().map(Vec::len), Some(4), "{updated}");
    with_login(&data_dir, "topic delete tweets --force");
    assert_eq!(json_of(&with_login(&data_dir, "topic list -o json")), Value::Array(Vec::new()));
    assert_eq!(up.stop("-TERM"), Some(0));
}

#[test]
fn a_second_cluster_is_reached_with_a_key_of_its_own_and_not_with_another() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = folder.path().join("data");
    let _up = Up::start(&data_dir, &[]);
    let cluster = json_of(&with_login(&data_dir, "cluster create second -o json"));
    let cluster = cluster["id"].as_str().expect("an id");
    let account = json_of(&with_login(&data_dir, "service-account create second -o json"));
    let account = account["id"].as_str().expect("an id");
    let words = format!("api-key create --resource {cluster} --service-account {account} -o json");
    let key = json_of(&with_login(&data_dir, &words));
    let (id, secret) = (key["id"].as_str().expect("an id"), key["spec"]["secret"].as_str().expect("a secret"));
    let keys = format!("--cluster {cluster} --kafka-api-key {id} --kafka-api-secret {secret}");
    with_login(&data_dir, "topic create only-in-first");
    assert_eq!(
        json_of(&with_login(&data_dir, &format!("topic list --cluster {cluster} -o json"))),
        Value::Array(vec![])
    );
    with_login(&data_dir, &format!("topic create mine --cluster {cluster}"));
    let denied = run(folder.path(), &format!("topic consume mine -b -e {keys} --data-dir {}", data_dir.display()));
    assert_eq!(denied.status.code(), Some(4), "{}", stderr(&denied));
    let words = format!("role-binding create --principal {account} --role CloudClusterAdmin --cluster {cluster}");
    with_login(&data_dir, &words);

    with_input(&data_dir, &format!("topic produce mine {keys}"), "hello\n");
    let consumed = with_login(&data_dir, &format!("topic consume mine -b -e {keys}"));
    assert_eq!(stdout(&consumed), "hello\n");

    let without_key =
        run(folder.path(), &format!("topic consume mine -b -e --cluster {cluster} --data-dir {}", data_dir.display()));
    assert_eq!(without_key.status.code(), Some(4), "{}", stderr(&without_key));
    with_login(&data_dir, &format!("api-key delete {id} --force"));
    let deleted_key = run(folder.path(), &format!("topic consume mine -b -e {keys} --data-dir {}", data_dir.display()));
    assert_eq!(deleted_key.status.code(), Some(4), "{}", stderr(&deleted_key));
}

#[test]
fn a_dedicated_cluster_has_a_broker_of_its_own_until_it_is_deleted() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = folder.path().join("data");
    let up = Up::start(&data_dir, &[]);
    let created = json_of(&with_login(&data_dir, "cluster create own --type dedicated --cku 2 -o json"));
    assert_eq!(created["status"], serde_json::json!({"phase": "PROVISIONED", "cku": 2}), "{created}");
    let cluster = created["id"].as_str().expect("an id");
    let address = created["spec"]["kafka_bootstrap_endpoint"].as_str().expect("an address").to_owned();
    assert_ne!(address, up.text("bootstrap_servers"));
    assert_eq!(folders_in(&data_dir.join("dedicated")), 1);

    let account = up.text("service_account_id").to_owned();
    let words = format!("api-key create --resource {cluster} --service-account {account} -o json");
    let key = json_of(&with_login(&data_dir, &words));
    let (id, secret) = (key["id"].as_str().expect("an id"), key["spec"]["secret"].as_str().expect("a secret"));
    let keys = format!("--cluster {cluster} --kafka-api-key {id} --kafka-api-secret {secret}");
    let resource_name = created["metadata"]["resource_name"].as_str().expect("a CRN");
    let crn_pattern = resource_name.rsplit_once('/').expect("it ends with /kafka=").0;
    let binding = serde_json::json!({
        "principal": format!("User:{account}"), "role_name": "CloudClusterAdmin", "crn_pattern": crn_pattern,
    });
    up.post("/iam/v2/role-bindings", &binding);
    with_login(&data_dir, &format!("topic create mine --cluster {cluster}"));
    with_input(&data_dir, &format!("topic produce mine {keys}"), "hello\n");
    let resized = json_of(&with_login(&data_dir, &format!("cluster update {cluster} --cku 3 -o json")));
    assert_eq!(resized["spec"]["config"]["cku"], 3, "{resized}");

    up.crash();
    let up = Up::start(&data_dir, &[]);
    let described = json_of(&with_login(&data_dir, &format!("cluster describe {cluster} -o json")));
    assert_eq!(described["spec"]["kafka_bootstrap_endpoint"], address, "clients find it where it was");
    let consumed = with_login(&data_dir, &format!("topic consume mine -b -e {keys}"));
    assert_eq!(stdout(&consumed), "hello\n");

    with_login(&data_dir, &format!("cluster delete {cluster} --force"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while folders_in(&data_dir.join("dedicated")) > 0 || folders_in(&data_dir.join("object-store/millstream")) > 1 {
        assert!(Instant::now() < deadline, "its files are still there");
        std::thread::yield_now();
    }
    assert!(std::net::TcpStream::connect(&address).is_err(), "nobody listens there any more");
    assert_eq!(up.stop("-TERM"), Some(0));
}

fn folders_in(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, |entries| entries.count())
}

#[test]
fn clients_go_on_after_the_service_was_killed_and_started_again() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = folder.path().join("data");
    let up = Up::start(&data_dir, &[]);
    let port = up.text("bootstrap_servers").rsplit(':').next().expect("a port").to_string();
    with_login(&data_dir, "topic create tweets --partitions 2");
    let mut consumer = spawn_with_login(&data_dir, "topic consume tweets -b -n 2");
    let mut producer = spawn_with_login(&data_dir, "topic produce tweets");
    let mut lines = producer.stdin.take().expect("stdin is piped");
    let mut printed = BufReader::new(consumer.stdout.take().expect("stdout is piped"));
    let mut first = String::new();
    lines.write_all(b"before\n").expect("written");
    printed.read_line(&mut first).expect("read");

    up.crash();
    let up = Up::start(&data_dir, &["--kafka-port", &port]);
    lines.write_all(b"after\n").expect("written");
    drop(lines);
    let mut second = String::new();
    printed.read_line(&mut second).expect("read");
    assert_eq!((first.as_str(), second.as_str()), ("before\n", "after\n"));
    assert!(producer.wait().expect("ended").success());
    assert!(consumer.wait().expect("ended").success());
    assert_eq!(up.stop("-TERM"), Some(0));
}

#[test]
fn with_tls_clients_trust_the_printed_authority() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = folder.path().join("data");
    let up = Up::start(&data_dir, &["--tls"]);
    assert_eq!(up.text("security_protocol"), "SASL_SSL");
    assert!(Path::new(&up.text("tls_ca_file")).exists());
    with_login(&data_dir, "topic create tweets");
    with_input(&data_dir, "topic produce tweets", "hello\n");
    assert_eq!(stdout(&with_login(&data_dir, "topic consume tweets -b -e")), "hello\n");
    let properties = stdout(&with_login(&data_dir, "client-config create java"));
    assert!(properties.contains("ssl.truststore.type=PEM"), "{properties}");
    assert_eq!(up.stop("-INT"), Some(0));
}
