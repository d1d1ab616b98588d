//! The Python clients from PyPI, in a virtual environment of their own outside of the repository.
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::{Suite, java};
use crate::context::{Against, Context};
use crate::need;
use crate::outcome::Outcome;
use crate::rest::{Rest, text_at};
use crate::server::{Access, Server};

pub const CONFLUENT_KAFKA: Suite = Suite {
    name: "confluent-kafka",
    about: "confluent-kafka for Python (librdkafka 2.16)",
    needs: &[need::PYTHON],
    run: |context| run(context, "confluent-kafka", "confluent_kafka_checks.py"),
};

pub const ACCESS: Suite = Suite {
    name: "access",
    about: "what confluent-kafka and the Java client may do with ACLs, with role bindings and with neither",
    needs: &[need::PYTHON, need::JAVA, need::MAVEN],
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
    let server = context.start_server()?;
    let mut outcome = run_on(context, server.as_ref(), "access", "access_checks.py")?;
    outcome += run_access_of_java(context, server.access())?;
    Ok(outcome)
}

/// The same for Java, whose clients tell refusals apart by the class of their exceptions.
fn run_access_of_java(context: &Context, administrator: &Access) -> Result<Outcome> {
    let jar = java::build_jar(context, "java", "checks.jar")?;
    let build_dir = context.build_dir("access")?;
    let (of_administrator, of_nobody) =
        (build_dir.join("administrator.properties"), build_dir.join("nobody.properties"));
    let rest = administrator.rest.as_ref().context("the server has no REST API")?;
    let mut caller = Rest::connect(&rest.url, &rest.cloud_api_key, &rest.cloud_api_secret)?;
    let body = json!({"display_name": "nobody-of-java", "description": ""});
    let account = text_at(&caller.call("POST", "/iam/v2/service-accounts", Some(&body))?, "/id")?;
    let resource = json!({"id": rest.cluster_id, "environment": rest.environment_id});
    let body = json!({"spec": {"display_name": "nobody", "owner": {"id": account}, "resource": resource}});
    let key = caller.call("POST", "/iam/v2/api-keys", Some(&body))?;
    let (api_key, api_secret) = (text_at(&key, "/id")?, text_at(&key, "/spec/secret")?);
    administrator.write_java_properties(&of_administrator)?;
    Access { api_key, api_secret, ..administrator.clone() }.write_java_properties(&of_nobody)?;
    let mut command = java::java_class(&jar, "AccessChecks");
    command.arg(of_administrator).arg(of_nobody).arg(format!("User:{account}"));
    context.run_suite_program("access", &mut command, Duration::from_secs(300))
}

fn run(context: &Context, name: &str, script: &str) -> Result<Outcome> {
    let server = context.start_server()?;
    run_on(context, server.as_ref(), name, script)
}

fn run_on(context: &Context, server: &dyn Server, name: &str, script: &str) -> Result<Outcome> {
    let python = virtual_environment(context)?;
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
