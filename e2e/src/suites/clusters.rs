//! Kinds of clusters with librdkafka and the Java client: a change of kind under load, and the life of a Dedicated cluster, files included.
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Suite;
use super::java;
use super::python::virtual_environment;
use crate::context::{Against, Context};
use crate::millstream::Millstream;
use crate::need;
use crate::outcome::Outcome;
use crate::server::Server as _;

pub const SUITE: Suite = Suite {
    name: "clusters",
    about: "Basic becomes Standard under load; Dedicated clusters from creation to the last file",
    needs: &[need::PYTHON, need::JAVA, need::MAVEN],
    run,
};

fn run(context: &Context) -> Result<Outcome> {
    if context.against != Against::Millstream {
        bail!("Apache Kafka has no kinds of clusters");
    }
    let jar = java::build_jar(context, "java", "checks.jar")?;
    let python = virtual_environment(context)?;
    let server = Millstream::start_new(context)?;
    let mut command = Command::new(python);
    command.arg(context.e2e_dir("clusters").join("checks_of_clusters.py"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONPATH", context.e2e_dir("python"));
    server.access().set_environment(&mut command);
    command.env("DATA_DIR", server.data_dir());
    command.env("CHECKS_JAR", jar).env("BUILD_DIR", context.build_dir("clusters")?);
    context.run_suite_program("clusters", &mut command, Duration::from_secs(180))
}
