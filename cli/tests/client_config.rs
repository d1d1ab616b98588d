//! The configurations that `client-config create` prints, and that their languages accept them.

#[allow(dead_code, reason = "each test binary uses its own part of the support")]
mod support;

use std::path::Path;
use std::process::Command;

use support::{run, stderr, stdout};

const LANGUAGES: [&str; 6] = ["java", "librdkafka", "python", "go", "nodejs", "rust"];
const KEY: &str = "--kafka-api-key ABCDEFGHIJKLMNOP --kafka-api-secret 0123456789+/abc --bootstrap-server";

fn create(language: &str, rest: &str) -> String {
    let home = tempfile::tempdir().expect("home");
    let output = run(home.path(), &format!("client-config create {language} {KEY} {rest}"));
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn configurations_are_as_agreed() {
    for language in LANGUAGES {
        insta::assert_snapshot!(language, create(language, "127.0.0.1:9092"));
    }
}

#[test]
fn configurations_with_an_authority_of_ones_own_are_as_agreed() {
    for language in LANGUAGES {
        let text = create(language, "kafka.example:9092 --tls-ca /etc/millstream/ca.pem");
        insta::assert_snapshot!(format!("{language}_tls"), text);
    }
}

/// Runs a tool on a file with this content. A machine without the tool skips the check; CI must have it.
/// Gives what the tool printed.
fn check_with(tool: &str, arguments: &[&str], name: &str, content: &str) -> String {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("written");
    let result = Command::new(tool).args(arguments).arg(&path).current_dir(folder.path()).output();
    match result {
        Ok(output) => {
            assert!(output.status.success(), "{tool} {name}: {}\n{content}", stderr(&output));
            stdout(&output)
        }
        Err(_) if std::env::var_os("CI").is_none() => {
            eprintln!("{tool} is not installed: {name} is not checked");
            String::new()
        }
        Err(error) => panic!("{tool} is missing, which CI must have: {error}"),
    }
}

fn variants(language: &str) -> [String; 3] {
    [
        create(language, "127.0.0.1:9092"),
        create(language, "kafka.example:9092"),
        create(language, "kafka.example:9092 --tls-ca /etc/millstream/ca.pem"),
    ]
}

#[test]
fn python_accepts_its_program() {
    for text in variants("python") {
        check_with("python3", &["-m", "py_compile"], "example.py", &text);
    }
}

#[test]
fn go_accepts_its_program_and_would_format_it_the_same() {
    for text in variants("go") {
        assert_eq!(check_with("gofmt", &["-e", "-d"], "main.go", &text), "");
    }
}

#[test]
fn node_accepts_its_program() {
    for text in variants("nodejs") {
        check_with("node", &["--check"], "example.js", &text);
    }
}

#[test]
fn rust_accepts_its_program() {
    for text in variants("rust") {
        check_with("rustfmt", &["--edition", "2024", "--emit", "stdout"], "main.rs", &text);
    }
}

#[test]
fn java_reads_its_properties() {
    for text in variants("java") {
        let source = r#"
            import java.io.*; import java.util.*;
            class Read {
                public static void main(String[] arguments) throws Exception {
                    Properties properties = new Properties();
                    properties.load(new FileReader(arguments[0]));
                    String jaas = properties.getProperty("sasl.jaas.config");
                    boolean complete = properties.size() >= 4 && jaas.endsWith("password=\"0123456789+/abc\";");
                    System.exit(complete ? 0 : 1);
                }
            }"#;
        let folder = tempfile::tempdir().expect("folder");
        let program = folder.path().join("Read.java");
        std::fs::write(&program, source).expect("written");
        check_with("java", &[path_text(&program)], "client.properties", &text);
    }
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

#[test]
fn a_value_that_would_need_quoting_is_refused() {
    let home = tempfile::tempdir().expect("home");
    let words = "client-config create java --kafka-api-key A --kafka-api-secret a\"b --bootstrap-server h:1";
    let output = run(home.path(), words);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
