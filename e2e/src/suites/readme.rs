//! The README's own commands, in order, as a reader types them.
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Suite;
use super::java::build_jar;
use super::python::virtual_environment;
use crate::context::{Against, Context};
use crate::millstream::{Millstream, binary};
use crate::need;
use crate::outcome::Outcome;
use crate::server::Server as _;

pub const SUITE: Suite = Suite {
    name: "readme",
    about: "the commands of README.md",
    needs: &[need::PYTHON, need::KCAT, need::CURL, need::JAVA, need::MAVEN],
    run,
};

fn run(context: &Context) -> Result<Outcome> {
    if context.against != Against::Millstream {
        bail!("the README is about Millstream");
    }
    let jar = build_jar(context, "tweets", "tweets.jar")?;
    let python = virtual_environment(context)?;
    let server = Millstream::start_new(context)?;
    let mut command = Command::new(&python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(context.e2e_dir("readme").join("checks.py"));
    command.env("MILLSTREAM", binary(context)).env("MILLSTREAM_DATA_DIR", server.data_dir());
    command.env("PYTHON", &python).env("TWEETS_JAR", jar);
    server.access().set_environment(&mut command);
    context.run_suite_program("readme", &mut command, Duration::from_secs(600))
}
