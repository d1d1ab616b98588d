//! The promise of the product: one jar writes and replays tweets on Apache Kafka and on Millstream; only its properties file differs.
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Suite;
use super::java::{build_jar, java};
use crate::context::Context;
use crate::kafka::ApacheKafka;
use crate::need;
use crate::outcome::Outcome;

pub const SUITE: Suite = Suite {
    name: "tweets",
    about: "one unmodified Java program on Apache Kafka and on Millstream",
    needs: &[need::JAVA, need::MAVEN],
    run,
};

const LIMIT: Duration = Duration::from_secs(120);

fn run(context: &Context) -> Result<Outcome> {
    let jar = build_jar(context, "tweets", "tweets.jar")?;
    let written = std::fs::read_to_string(context.e2e_dir("tweets").join("src/main/resources/tweets.jsonl"))?;
    let build_dir = context.build_dir("tweets")?;
    let mut checks = Checks { context, jar: &jar, written: &written, outcome: Outcome::default() };
    {
        let kafka = ApacheKafka::start_new(context)?;
        let properties = build_dir.join("apache-kafka.properties");
        std::fs::write(&properties, format!("bootstrap.servers={}\n", kafka.plain_bootstrap()))?;
        checks.produce_and_replay("Apache Kafka", &properties)?;
    }
    let server = context.start_server()?;
    let properties = build_dir.join("millstream.properties");
    server.access().write_java_properties(&properties)?;
    checks.produce_and_replay(server.name(), &properties)?;
    Ok(checks.outcome)
}

struct Checks<'a> {
    context: &'a Context,
    jar: &'a Path,
    written: &'a str,
    outcome: Outcome,
}

impl Checks<'_> {
    fn produce_and_replay(&mut self, server: &str, properties: &Path) -> Result<()> {
        let produced = self.context.step("tweets produce", java(self.jar).arg("produce").arg(properties), LIMIT);
        self.check(&format!("{server}: every tweet was acknowledged"), produced.is_ok());
        // Two replays: the first must not use the tweets up.
        for nth in ["first", "second"] {
            let (ended_well, replayed) = self.replay(properties)?;
            self.check(&format!("{server}: the {nth} replay ended well"), ended_well);
            self.check(
                &format!("{server}: the {nth} replay printed what was written, byte for byte"),
                replayed == self.written,
            );
        }
        Ok(())
    }

    fn replay(&self, properties: &Path) -> Result<(bool, String)> {
        let output_path = properties.with_extension("replayed");
        let mut command = Command::new("sh");
        // The tweets go to a file of their own; everything else goes to the log.
        command
            .args(["-c", "exec \"$@\" > \"$REPLAYED\"", "sh", "java", "-Xmx512m", "-jar"])
            .arg(self.jar)
            .arg("replay")
            .arg(properties);
        command.env("REPLAYED", &output_path);
        let ended = self.context.step("tweets replay", &mut command, LIMIT);
        let replayed = std::fs::read_to_string(&output_path).context("the replay printed no text")?;
        Ok((ended.is_ok(), replayed))
    }

    fn check(&mut self, name: &str, ok: bool) {
        self.context.note(&format!("{} {name}", if ok { "ok  " } else { "FAIL" }));
        self.outcome.count(ok);
    }
}
