//! The requests of Confluent's Terraform provider, exactly as it sends them, as plain HTTP: the provider itself cannot be had from a
//! package registry. Each run has a service of its own.
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Suite;
use crate::context::{Against, Context};
use crate::millstream::Millstream;
use crate::need;
use crate::outcome::Outcome;
use crate::server::Server as _;

pub const SUITE: Suite = Suite {
    name: "terraform-contract",
    about: "what Confluent's Terraform provider sends: apply, refresh, change, import, data sources, destroy",
    needs: &[need::PYTHON],
    run,
};

const LIMIT: Duration = Duration::from_secs(300);

fn run(context: &Context) -> Result<Outcome> {
    if context.against != Against::Millstream {
        bail!("Apache Kafka has no such API");
    }
    let server = Millstream::start_new(context)?;
    let mut command = Command::new("python3");
    command.arg(context.e2e_dir("terraform-contract").join("checks_of_contract.py"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONPATH", context.e2e_dir("python"));
    server.access().set_environment(&mut command);
    context.run_suite_program("terraform-contract", &mut command, LIMIT)
}
