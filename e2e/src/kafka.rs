//! Apache Kafka as the reference: one combined broker and controller (KRaft) from the jars of Maven Central.
//! One listener without authentication, one with SASL/PLAIN and a fixed user, so that the very same client configuration
//! runs here and against Millstream.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::context::Context;
use crate::process::{ProcessGroup, free_port, run_checked, wait_until};
use crate::server::{Access, Server};

const READY_LIMIT: Duration = Duration::from_secs(120);
const FORMAT_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
const USER: &str = "MSAPACHEKAFKATST";
const PASSWORD: &str = "a-password-of-the-reference-broker-that-guards-nothing";

/// A running Apache Kafka and its data directory.
#[derive(Debug)]
pub struct ApacheKafka {
    process: ProcessGroup,
    access: Access,
    plain_bootstrap: String,
    directory: TempDir,
    settings: Settings,
}

/// How the broker is started; public so that benchmark reports can print it.
#[derive(Debug, Clone)]
pub struct Settings {
    pub jars: PathBuf,
    pub log4j: PathBuf,
    pub log: PathBuf,
    pub heap: String,
    pub extra_properties: String,
}

impl ApacheKafka {
    pub fn start_new(context: &Context) -> Result<Self> {
        Self::start_with(Settings {
            jars: context.kafka_jars()?,
            log4j: context.e2e_dir("kafka").join("log4j2.xml"),
            log: context.log.clone(),
            heap: "512m".to_owned(),
            extra_properties: String::new(),
        })
    }

    pub fn start_with(settings: Settings) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("kafka-").tempdir()?;
        let (plain, sasl, controller) = (free_port()?, free_port()?, free_port()?);
        let properties = directory.path().join("server.properties");
        let text = server_properties(directory.path(), plain, sasl, controller);
        std::fs::write(&properties, text + &settings.extra_properties)?;
        format_storage(&settings, &properties)?;
        let process = spawn_broker(&settings, &properties, directory.path())?;
        let access = Access {
            bootstrap_servers: format!("127.0.0.1:{sasl}"),
            api_key: USER.to_owned(),
            api_secret: PASSWORD.to_owned(),
            rest: None,
        };
        let mut kafka = Self { process, access, plain_bootstrap: format!("127.0.0.1:{plain}"), directory, settings };
        kafka.wait_until_it_serves()?;
        Ok(kafka)
    }

    /// The listener without authentication.
    pub fn plain_bootstrap(&self) -> &str {
        &self.plain_bootstrap
    }

    pub fn properties_file(&self) -> PathBuf {
        self.directory.path().join("server.properties")
    }

    fn wait_until_it_serves(&mut self) -> Result<()> {
        let address = self.access.bootstrap_servers.clone();
        let process = &mut self.process;
        // The SocketServer opens its ports only after the broker has been unfenced.
        let listening =
            wait_until(READY_LIMIT, || process.has_exited() || std::net::TcpStream::connect(&address).is_ok());
        if !listening || self.process.has_exited() {
            bail!("Apache Kafka did not start");
        }
        Ok(())
    }
}

impl Server for ApacheKafka {
    fn name(&self) -> &'static str {
        "apache-kafka"
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn kill_hard(&mut self) {
        self.process.kill_hard();
    }

    fn stop(&mut self) -> Result<()> {
        // A JVM that was stopped by a signal ends with 128 + the signal's number.
        self.process.interrupt(STOP_LIMIT).map(|_| ())
    }

    fn restart(&mut self) -> Result<()> {
        self.process.kill_hard();
        self.process = spawn_broker(&self.settings, &self.properties_file(), self.directory.path())?;
        self.wait_until_it_serves()
    }
}

/// A Kafka command line program: `java -cp … MAIN`.
pub fn tool(jars: &Path, log4j: &Path, main_class: &str) -> Command {
    tool_with(jars, log4j, &["-Xmx512m", "-XX:+UseSerialGC"], main_class)
}

/// As `tool`, with other options for the JVM.
pub fn tool_with(jars: &Path, log4j: &Path, jvm_options: &[&str], main_class: &str) -> Command {
    let mut command = Command::new("java");
    command.args(jvm_options);
    command.arg(format!("-Dlog4j2.configurationFile={}", log4j.display()));
    command.arg("-cp").arg(jars.join("*")).arg(main_class);
    command
}

fn server_properties(directory: &Path, plain: u16, sasl: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";
log.dirs={}
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=8
group.initial.rebalance.delay.ms=0
",
        directory.join("data").display()
    )
}

fn format_storage(settings: &Settings, properties: &Path) -> Result<()> {
    let mut command = tool(&settings.jars, &settings.log4j, "kafka.tools.StorageTool");
    command.args(["format", "-t", CLUSTER_ID, "-c"]).arg(properties);
    run_checked("kafka.tools.StorageTool", &mut command, &settings.log, FORMAT_LIMIT)
}

fn spawn_broker(settings: &Settings, properties: &Path, directory: &Path) -> Result<ProcessGroup> {
    let mut command = Command::new("java");
    command.arg(format!("-Xms{}", settings.heap)).arg(format!("-Xmx{}", settings.heap));
    // These flags are those of Kafka's own start script.
    command.args(["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"]);
    command.args(["-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true", "-Dmillstream.log.level=info"]);
    command.arg(format!("-Dlog4j2.configurationFile={}", settings.log4j.display()));
    command.arg(format!("-Dkafka.logs.dir={}", directory.display()));
    command.arg("-cp").arg(settings.jars.join("*")).arg("kafka.Kafka").arg(properties);
    ProcessGroup::spawn_logged("Apache Kafka", &mut command, &settings.log.with_extension("kafka.log"))
}
