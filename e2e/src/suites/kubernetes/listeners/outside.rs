//! Clients on this machine, outside of Kubernetes. The names of brokers lead to where a file says, as they would by a DNS.
use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use super::super::account::Dedicated;
use super::super::eventually;
use crate::context::Context;
use crate::kube::command::{run, run_with_input};
use crate::millstream;
use crate::process::ProcessGroup;

/// Seconds that a client may take to connect, write and read a few records.
const CLIENT_SECONDS: &str = "60";
pub const TOPIC: &str = "tweets";

/// Everything that a client of one Dedicated cluster needs.
pub struct Outside<'a> {
    context: &'a Context,
    dedicated: &'a Dedicated<'a>,
    bootstrap: String,
    folder: PathBuf,
}

/// Programs of different authors.
#[derive(Debug, Clone, Copy)]
pub enum Client {
    Millstream,
    Kcat,
    Java,
}

impl Client {
    pub const ALL: [Self; 3] = [Self::Millstream, Self::Kcat, Self::Java];
}

impl<'a> Outside<'a> {
    pub fn new(context: &'a Context, dedicated: &'a Dedicated<'a>) -> Result<Self> {
        let folder = context.build_dir("listeners")?;
        Ok(Self { context, dedicated, bootstrap: String::new(), folder })
    }

    /// Connects to this bootstrap server from now on, with names that lead to these addresses and to nothing else.
    pub fn connect_to(&mut self, bootstrap: &str, addresses: &[(String, String)]) -> Result<()> {
        self.bootstrap = bootstrap.to_owned();
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        for (host, address) in addresses {
            writeln!(hosts, "{address} {host}")?;
        }
        Ok(std::fs::write(self.folder.join("hosts"), hosts)?)
    }

    /// Trusts these authorities, as PEM, and nobody else.
    pub fn trust(&self, authorities: &str) -> Result<()> {
        std::fs::write(self.authorities(), authorities)?;
        let Dedicated { key, secret, .. } = self.dedicated;
        let authorities = self.authorities();
        let authorities = authorities.display();
        let kcat = format!(
            "security.protocol=SASL_SSL\nssl.ca.location={authorities}\nsasl.mechanism=PLAIN\n\
             sasl.username={key}\nsasl.password={secret}\n"
        );
        let java = format!(
            "security.protocol=SASL_SSL\nssl.truststore.type=PEM\nssl.truststore.location={authorities}\n\
             sasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
             username=\"{key}\" password=\"{secret}\";\n"
        );
        std::fs::write(self.folder.join("kcat.conf"), kcat)?;
        Ok(std::fs::write(self.folder.join("java.properties"), java)?)
    }

    /// Every client writes a record, and then every one of them reads those of all.
    pub fn records_go_through(&self, about: &str) -> Result<()> {
        for client in Client::ALL {
            self.produce(client, &format!("{about} by {client:?}"))?;
        }
        for client in Client::ALL {
            let read = self.consume(client)?;
            for other in Client::ALL {
                let record = format!("{about} by {other:?}");
                ensure!(read.lines().any(|line| line == record), "{client:?} does not read {record:?}: {read:?}");
            }
        }
        Ok(())
    }

    /// A new connection is refused a moment after a change at the latest.
    pub fn is_reached(&self) -> Result<()> {
        let mut outcome = Ok(String::new());
        let reached = eventually("answer", || {
            outcome = self.consume(Client::Millstream);
            outcome.is_ok()
        });
        outcome.and(reached)
    }

    pub fn produce(&self, client: Client, record: &str) -> Result<()> {
        let mut command = match client {
            Client::Millstream => self.millstream("topic produce")?,
            Client::Kcat => self.kcat(&["-P", "-t", TOPIC]),
            Client::Java => self.java("ConsoleProducer", &["--topic", TOPIC])?,
        };
        run_with_input(&mut command, &format!("{record}\n")).map(drop)
    }

    pub fn consume(&self, client: Client) -> Result<String> {
        let mut command = match client {
            Client::Millstream => {
                let mut command = self.millstream("topic consume")?;
                command.args(["--from-beginning", "--exit-at-end"]);
                command
            }
            Client::Kcat => self.kcat(&["-C", "-t", TOPIC, "-o", "beginning", "-e", "-q"]),
            Client::Java => {
                let to_the_end = ["--topic", TOPIC, "--from-beginning", "--timeout-ms", "8000"];
                self.java("consumer.ConsoleConsumer", &to_the_end)?
            }
        };
        run(&mut command)
    }

    /// Names and ports that brokers tell a client.
    pub fn metadata(&self) -> Result<String> {
        run(&mut self.kcat(&["-L"]))
    }

    /// A client that stays connected and reads what comes.
    pub fn stay(&self) -> Result<Staying> {
        let output = self.folder.join("staying");
        let mut command = self.kcat(&["-C", "-t", TOPIC, "-o", "beginning", "-q", "-u"]);
        let file = File::create(&output)?;
        command.stdout(file).stderr(Stdio::null());
        Ok(Staying { process: ProcessGroup::spawn("a consumer that stays", &mut command)?, output })
    }

    fn millstream(&self, verb: &str) -> Result<Command> {
        let mut command = self.with_own_names(millstream::binary(self.context).display().to_string());
        command.args(verb.split(' ')).arg(TOPIC).args(["--bootstrap-server", &self.bootstrap]);
        command.arg("--tls-ca").arg(self.authorities());
        let Dedicated { key, secret, .. } = self.dedicated;
        command.env("MILLSTREAM_KAFKA_API_KEY", key).env("MILLSTREAM_KAFKA_API_SECRET", secret);
        command.args(["--cluster", &self.dedicated.id]);
        self.dedicated.account.set_environment(&mut command)?;
        Ok(command)
    }

    fn kcat(&self, arguments: &[&str]) -> Command {
        let mut command = self.with_own_names("kcat".to_owned());
        command.arg("-F").arg(self.folder.join("kcat.conf")).args(["-b", &self.bootstrap]).args(arguments);
        command
    }

    fn java(&self, tool: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = self.with_own_names("java".to_owned());
        let log = self.context.e2e_dir("kafka").join("log4j2.xml");
        command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
        command.arg(self.context.kafka_jars()?.join("*"));
        command.arg(format!("-Dlog4j2.configurationFile={}", log.display()));
        command.arg(format!("org.apache.kafka.tools.{tool}")).args(["--bootstrap-server", &self.bootstrap]);
        command.arg("--command-config").arg(self.folder.join("java.properties")).args(arguments);
        Ok(command)
    }

    /// A program that sees our file instead of /etc/hosts; nobody else does.
    fn with_own_names(&self, program: String) -> Command {
        let mut command = Command::new("timeout");
        command.args([
            CLIENT_SECONDS,
            "unshare",
            "--mount",
            "sh",
            "-c",
            "mount --bind \"$0\" /etc/hosts && exec \"$@\"",
        ]);
        command.arg(self.folder.join("hosts")).arg(program);
        command
    }

    /// What it trusts, as PEM.
    pub fn authorities(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }
}

/// A consumer with an open connection.
pub struct Staying {
    process: ProcessGroup,
    output: PathBuf,
}

impl Staying {
    pub fn reads(&mut self, record: &str) -> Result<()> {
        let Self { process, output } = self;
        let found = || std::fs::read_to_string(&*output).is_ok_and(|text| text.lines().any(|line| line == record));
        eventually("record", || process.has_exited() || found())?;
        ensure!(found(), "the consumer ended");
        Ok(())
    }
}
