//! Every version of every Kafka message, as this repository encodes it, read and written by Apache Kafka's own classes.
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Suite;
use super::java::build_jar;
use crate::context::Context;
use crate::need;
use crate::outcome::Outcome;

pub const SUITE: Suite = Suite {
    name: "wire",
    about: "Apache Kafka's own codec reads and writes the same bytes: all messages, headers, error codes",
    needs: &[need::JAVA, need::MAVEN],
    run,
};

fn run(context: &Context) -> Result<Outcome> {
    let limit = Duration::from_secs(1800);
    // The jar itself is not used; beside it lies Kafka's client library.
    let jar = build_jar(context, "java", "checks.jar")?;
    let vectors = context.build_dir("wire")?.join("vectors.tsv");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&context.repository).env("CARGO_TARGET_DIR", &context.target_dir);
    cargo.args(["run", "--quiet", "--package", "millstream-protocol", "--example", "wire_vectors", "--"]).arg(&vectors);
    context.step("wire vectors", &mut cargo, limit)?;

    let mut command = Command::new("java");
    command.arg("-cp").arg(jar.with_file_name("lib").join("*"));
    command.arg(context.repository.join("data-plane/protocol/tests/java/WireVectors.java")).arg(&vectors);
    context.run_suite_program("wire", &mut command, limit)
}
