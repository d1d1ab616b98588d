//! schemathesis: requests made up from the served OpenAPI document, right ones and wrong ones, for every operation.
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Suite;
use super::python::virtual_environment_for;
use crate::context::{Against, Context};
use crate::millstream::Millstream;
use crate::need;
use crate::outcome::Outcome;
use crate::server::Server as _;

pub const SUITE: Suite = Suite {
    name: "schemathesis",
    about: "made-up requests for every operation of the OpenAPI document: no 5xx, nothing undocumented",
    needs: &[need::PYTHON],
    run,
};

const FOLDER: &str = "schemathesis";
const LIMIT: Duration = Duration::from_secs(900);

fn run(context: &Context) -> Result<Outcome> {
    if context.against != Against::Millstream {
        bail!("Apache Kafka has no such API");
    }
    let python = virtual_environment_for(context, FOLDER)?;
    let server = Millstream::start_new(context)?;
    let mut command = Command::new(python);
    command.arg(context.e2e_dir(FOLDER).join("checks_of_document.py"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("REPORTS", context.build_dir(FOLDER)?);
    server.access().set_environment(&mut command);
    context.run_suite_program(FOLDER, &mut command, LIMIT)
}
