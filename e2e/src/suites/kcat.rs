//! kcat (librdkafka from Debian) on the command line, as a person would use it.
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Suite;
use crate::context::Context;
use crate::need;
use crate::outcome::Outcome;

pub const SUITE: Suite = Suite {
    name: "kcat",
    about: "kcat: metadata, produce, consume, groups, offsets by time",
    needs: &[need::KCAT],
    run,
};

fn run(context: &Context) -> Result<Outcome> {
    let server = context.start_server()?;
    let mut command = Command::new("bash");
    command.arg(context.e2e_dir("kcat").join("checks.sh"));
    server.access().set_environment(&mut command);
    context.run_suite_program("kcat", &mut command, Duration::from_secs(180))
}
