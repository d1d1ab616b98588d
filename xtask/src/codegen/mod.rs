//! `cargo xtask codegen`: writes the Kafka messages, the fleet protocol and the schema of the chart's values that are
//! committed in this repository.
//!
//! Promises: the same inputs give the same bytes, and `check` only compares. Never runs as part of a build: whoever
//! raises `KAFKA_VERSION` or edits `fleet.proto` runs it and commits the result.

mod api_keys;
mod fleet;
mod jar;
mod layout;
mod messages;
mod output;
mod samples;
mod schema;
mod versions;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

pub use output::Output;

/// The Apache Kafka release whose `kafka-clients` jar carries the message schemas.
pub const KAFKA_VERSION: &str = "4.3.1";

const MESSAGES: &str = "data-plane/protocol/src/messages";
const API_KEYS: &str = "data-plane/protocol/src/api_key.rs";
const SAMPLES: &str = "data-plane/protocol/tests/wire/samples";

/// Regenerates every generated file; with `check`, compares them with what is committed and fails on a difference.
pub fn run(check: bool) -> Result<()> {
    if !check {
        let output = generate()?;
        output.write(&crate::workspace::root(), &owned_directories())?;
        println!("codegen: {} files are written", output.len());
        return Ok(());
    }
    let stale = stale_files()?;
    if stale.is_empty() {
        println!("codegen: all files are current");
        return Ok(());
    }
    let list = stale.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    bail!("generated files are stale, run `cargo xtask codegen` and commit: {list}")
}

/// The generated files that differ from what is committed.
pub fn stale_files() -> Result<Vec<PathBuf>> {
    generate()?.stale_files(&crate::workspace::root(), &owned_directories())
}

fn generate() -> Result<Output> {
    let mut output = Output::default();
    let schemas = jar::read_schemas(KAFKA_VERSION)?;
    messages::write(&schemas, Path::new(MESSAGES), &mut output)?;
    api_keys::write(&schemas, Path::new(API_KEYS), &mut output)?;
    samples::write(&schemas, Path::new(SAMPLES), &mut output)?;
    fleet::write(&crate::workspace::root(), &mut output)?;
    output.format()?;
    crate::charts::write(&mut output)?;
    Ok(output)
}

/// Directories that hold generated files only.
fn owned_directories() -> [PathBuf; 2] {
    [MESSAGES.into(), SAMPLES.into()]
}
