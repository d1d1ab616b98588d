//! Rates and limits of a cluster, measured with the Java client, with librdkafka, which ignores throttle times, and with bare sockets.
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{Suite, java, python};
use crate::context::{Against, Context};
use crate::millstream::Millstream;
use crate::need;
use crate::outcome::Outcome;
use crate::server::Server as _;

pub const SUITE: Suite = Suite {
    name: "quotas",
    about: "rates, connections and partitions of a cluster: what Java and librdkafka get of the limit",
    needs: &[need::JAVA, need::MAVEN, need::PYTHON],
    run,
};

/// How long each rate is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// Measurements, each with its start, and everything else.
const WINDOWS: u32 = 16;
const EVERYTHING_ELSE: Duration = Duration::from_secs(200);

fn run(context: &Context) -> Result<Outcome> {
    run_for(context, WINDOW)
}

/// Measures each rate for so long.
pub fn run_for(context: &Context, window: Duration) -> Result<Outcome> {
    if context.against != Against::Millstream {
        bail!("Apache Kafka has no such limits");
    }
    let jar = java::build_jar(context, "java", "checks.jar")?;
    let python = python::virtual_environment(context)?;
    let server = Millstream::start_new(context)?;
    let mut command = Command::new(python);
    command.arg(context.e2e_dir("quotas").join("quota_checks.py"));
    let modules = std::env::join_paths([context.e2e_dir("python"), context.e2e_dir("terraform-contract")])?;
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONPATH", modules);
    command.env("CHECKS_JAR", jar).env("BUILD_DIR", context.build_dir("quotas")?);
    command.env("WINDOW_SECONDS", window.as_secs().to_string());
    server.access().set_environment(&mut command);
    context.run_suite_program("quotas", &mut command, window * WINDOWS + EVERYTHING_ELSE)
}
