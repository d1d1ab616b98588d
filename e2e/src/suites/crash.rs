//! `kill -9` while clients write: whatever was acknowledged is there after the next start. Several rounds on one data directory, so
//! that recovery itself is followed by a crash.
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Suite;
use super::python::virtual_environment;
use crate::context::Context;
use crate::need;
use crate::outcome::Outcome;
use crate::process::{ProcessGroup, wait_until};
use crate::server::Server;

pub const SUITE: Suite = Suite {
    name: "crash",
    about: "kill -9 under load: no acknowledged record, topic, offset or key is lost",
    needs: &[need::PYTHON],
    run,
};

const ROUNDS: u32 = 5;
/// Enough that the log, the groups and the metadata are all in the middle of something.
const RECORDS_PER_ROUND: usize = 5000;
const TOPICS_PER_ROUND: usize = 6;
const OFFSETS_PER_ROUND: usize = 20;
const KEYS_PER_ROUND: usize = 4;
const WRITE_LIMIT: Duration = Duration::from_secs(60);
const CHECK_LIMIT: Duration = Duration::from_secs(180);

fn run(context: &Context) -> Result<Outcome> {
    let python = virtual_environment(context)?;
    let scripts = context.e2e_dir("python");
    let notes = context.build_dir("crash")?.join("acknowledged.jsonl");
    let _ = std::fs::remove_file(&notes);
    let mut server = context.start_server()?;
    let mut outcome = Outcome::default();
    for round in 1..=ROUNDS {
        write_until_killed(context, server.as_mut(), &python, &scripts, &notes, round)?;
        server.restart()?;
        if round % 2 == 0 {
            // Again at once, before anything is written: recovery must survive its own interruption.
            server.kill_hard();
            server.restart()?;
        }
        let mut checker = script(&python, &scripts, "crash_checker.py", &notes, round);
        server.access().set_environment(&mut checker);
        outcome += context.run_suite_program("crash", &mut checker, CHECK_LIMIT)?;
    }
    Ok(outcome)
}

fn write_until_killed(
    context: &Context,
    server: &mut dyn Server,
    python: &Path,
    scripts: &Path,
    notes: &Path,
    round: u32,
) -> Result<()> {
    let before = Acknowledged::read(notes);
    let mut command = script(python, scripts, "crash_writer.py", notes, round);
    server.access().set_environment(&mut command);
    let with_keys = server.access().rest.is_some();
    let mut writer = ProcessGroup::spawn_logged("crash_writer.py", &mut command, &context.log)?;
    let enough = wait_until(WRITE_LIMIT, || {
        let now = Acknowledged::read(notes);
        now.records >= before.records + RECORDS_PER_ROUND
            && now.topics >= before.topics + TOPICS_PER_ROUND
            && now.offsets >= before.offsets + OFFSETS_PER_ROUND
            && (!with_keys || now.keys >= before.keys + KEYS_PER_ROUND)
    });
    server.kill_hard();
    writer.kill_hard();
    if !enough {
        bail!(
            "round {round}: too little was acknowledged within {} s: {:?}",
            WRITE_LIMIT.as_secs(),
            Acknowledged::read(notes)
        );
    }
    Ok(())
}

fn script(python: &Path, scripts: &Path, name: &str, notes: &Path, round: u32) -> Command {
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(scripts.join(name)).arg(notes).arg(round.to_string());
    command
}

/// How much the notes hold.
#[derive(Debug, Default)]
struct Acknowledged {
    records: usize,
    topics: usize,
    offsets: usize,
    keys: usize,
}

impl Acknowledged {
    fn read(notes: &Path) -> Self {
        let text = std::fs::read_to_string(notes).unwrap_or_default();
        let mut counted = Self::default();
        for line in text.lines() {
            let kind = line.strip_prefix("{\"kind\": \"").and_then(|rest| rest.split('"').next());
            match kind {
                Some("record") => counted.records += 1,
                Some("topic") => counted.topics += 1,
                Some("offset") => counted.offsets += 1,
                Some("key") => counted.keys += 1,
                _ => {}
            }
        }
        counted
    }
}
