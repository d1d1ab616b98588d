//! Apache Kafka's own Java client: producer, consumer and admin.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Suite;
use crate::context::{Context, is_newer_than_sources};
use crate::need;
use crate::outcome::Outcome;

pub const SUITE: Suite = Suite {
    name: "java",
    about: "Apache Kafka's Java client: topics, produce, consume, groups, configs, authentication",
    needs: &[need::JAVA, need::MAVEN],
    run,
};

fn run(context: &Context) -> Result<Outcome> {
    let jar = build_jar(context, "java", "checks.jar")?;
    let server = context.start_server()?;
    let properties = context.build_dir("java")?.join("client.properties");
    server.access().write_java_properties(&properties)?;
    let mut command = java(&jar);
    command.arg(&properties);
    context.run_suite_program("java", &mut command, Duration::from_secs(600))
}

/// Builds a Maven project of this crate into the target directory, unless its jar is newer than its sources.
pub(super) fn build_jar(context: &Context, project: &str, jar: &str) -> Result<PathBuf> {
    let build_dir = context.build_dir(project)?.join("build");
    let product = build_dir.join(jar);
    if !is_newer_than_sources(&product, &context.e2e_dir(project)) {
        let mut command = Command::new("mvn");
        command.args(["-q", "-B", "-f"]).arg(context.e2e_dir(project).join("pom.xml"));
        command.arg(format!("-Dbuild.dir={}", build_dir.display())).arg("package");
        context.step(&format!("build of e2e/{project}"), &mut command, Duration::from_secs(900))?;
    }
    Ok(product)
}

pub(super) fn java(jar: &Path) -> Command {
    let mut command = virtual_machine();
    command.arg("-jar").arg(jar);
    command
}

/// Another program of the checks.
pub(super) fn java_class(jar: &Path, class: &str) -> Command {
    let mut command = virtual_machine();
    command.arg("-cp").arg(jar).arg(format!("io.millstream.e2e.{class}"));
    command
}

fn virtual_machine() -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]);
    command
}
