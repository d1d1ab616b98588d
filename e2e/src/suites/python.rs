//! The Python clients from PyPI, in a virtual environment of their own outside of the repository.
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Suite;
use crate::context::{Against, Context};
use crate::need;
use crate::outcome::Outcome;

pub const CONFLUENT_KAFKA: Suite = Suite {
    name: "confluent-kafka",
    about: "confluent-kafka for Python (librdkafka 2.16)",
    needs: &[need::PYTHON],
    run: |context| run(context, "confluent-kafka", "confluent_kafka_checks.py"),
};

pub const ACCESS: Suite = Suite {
    name: "access",
    about: "what confluent-kafka may do with ACLs, with role bindings and with neither",
    needs: &[need::PYTHON],
    run: run_access,
};

pub const KAFKA_PYTHON: Suite = Suite {
    name: "kafka-python",
    about: "kafka-python: an implementation of the protocol in Python",
    needs: &[need::PYTHON],
    run: |context| run(context, "kafka-python", "kafka_python_checks.py"),
};

fn run_access(context: &Context) -> Result<Outcome> {
    if context.against != Against::Millstream {
        bail!("Apache Kafka has no REST API to make accounts and roles with");
    }
    run(context, "access", "access_checks.py")
}

fn run(context: &Context, name: &str, script: &str) -> Result<Outcome> {
    let python = virtual_environment(context)?;
    let server = context.start_server()?;
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(context.e2e_dir("python").join(script));
    server.access().set_environment(&mut command);
    context.run_suite_program(name, &mut command, Duration::from_secs(600))
}

/// The interpreter with the clients of the Python suites.
pub(super) fn virtual_environment(context: &Context) -> Result<PathBuf> {
    virtual_environment_for(context, "python")
}

/// Makes the virtual environment of a folder once for each of its lists of requirements; returns its interpreter.
pub(super) fn virtual_environment_for(context: &Context, folder: &str) -> Result<PathBuf> {
    let requirements = context.e2e_dir(folder).join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)?;
    let directory = context.cache_dir.join(folder);
    let (python, installed) = (directory.join("bin/python"), directory.join("installed.txt"));
    if !python.is_file() || !std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        let limit = Duration::from_secs(600);
        let mut create = Command::new("python3");
        context.step("python3 -m venv", create.args(["-m", "venv", "--clear"]).arg(&directory), limit)?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
        context.step("pip install", &mut install, limit)?;
        std::fs::write(&installed, wanted)?;
    }
    Ok(python)
}
