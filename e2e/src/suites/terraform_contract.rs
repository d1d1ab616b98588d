//! The requests of Confluent's Terraform provider, exactly as it sends them, as plain HTTP: the provider itself cannot be had from a
//! package registry. Once with each database, each time with a service of its own.
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Suite;
use crate::context::{Against, Context};
use crate::millstream::Millstream;
use crate::need;
use crate::outcome::Outcome;
use crate::postgres::{Durability, Postgres};
use crate::server::Server as _;

pub const SUITE: Suite = Suite {
    name: "terraform-contract",
    about: "what Confluent's Terraform provider sends: apply, refresh, change, import, data sources, destroy",
    needs: &[need::PYTHON, need::POSTGRES],
    run,
};

const LIMIT: Duration = Duration::from_secs(300);

fn run(context: &Context) -> Result<Outcome> {
    if context.against != Against::Millstream {
        bail!("Apache Kafka has no such API");
    }
    context.note("on SQLite");
    let mut outcome = run_checks(context, &Millstream::start_new(context)?)?;
    context.note("on PostgreSQL");
    let postgres = Postgres::start(Durability::ForTests, &context.log)?;
    let database_url = postgres.create_database("terraform")?;
    outcome += run_checks(context, &Millstream::start_new_on(context, &database_url)?)?;
    Ok(outcome)
}

fn run_checks(context: &Context, server: &Millstream) -> Result<Outcome> {
    let mut command = Command::new("python3");
    command.arg(context.e2e_dir("terraform-contract").join("checks_of_contract.py"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONPATH", context.e2e_dir("python"));
    server.access().set_environment(&mut command);
    context.run_suite_program("terraform-contract", &mut command, LIMIT)
}
