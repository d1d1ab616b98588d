//! Apache Kafka's own command line programs: Verifiable*, ClientCompatibilityTest, the admin commands, the performance tools.
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Suite;
use super::sasl_proxy::SaslProxy;
use crate::context::Context;
use crate::need;
use crate::outcome::Outcome;

pub const SUITE: Suite = Suite {
    name: "kafka-tools",
    about: "the command line programs of Apache Kafka",
    needs: &[need::JAVA, need::MAVEN, need::GO, need::CURL],
    run,
};

fn run(context: &Context) -> Result<Outcome> {
    let jars = context.kafka_jars()?;
    let properties = context.build_dir("kafka-tools")?.join("client.properties");
    let server = context.start_server()?;
    server.access().write_java_properties(&properties)?;
    // ClientCompatibilityTest takes no client properties, so it cannot log in by itself.
    let proxy = SaslProxy::start(context, server.access())?;
    let mut command = Command::new("bash");
    command.arg(context.e2e_dir("kafka-tools").join("checks.sh"));
    command.env("KAFKA_JARS", jars).env("LOG4J", context.e2e_dir("kafka").join("log4j2.xml"));
    command.env("CLIENT_PROPERTIES", &properties).env("PLAIN_BOOTSTRAP_SERVERS", proxy.address());
    // Apache Kafka is started without an authorizer here, so it keeps no ACLs.
    command.env("ACLS", if server.name() == "apache-kafka" { "False" } else { "True" });
    server.access().set_environment(&mut command);
    context.run_suite_program("kafka-tools", &mut command, Duration::from_secs(900))
}
