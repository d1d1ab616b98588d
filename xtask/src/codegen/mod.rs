//! `cargo xtask codegen`: writes the Kafka messages and the fleet protocol that are committed in this repository.
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

use anyhow::{Context, Result, bail};

use output::Output;

/// The Apache Kafka release whose `kafka-clients` jar carries the message schemas.
pub const KAFKA_VERSION: &str = "4.3.1";

/// Regenerates every generated file; with `check`, compares them with what is committed and fails on a difference.
pub fn run(check: bool) -> Result<()> {
    let root = repository_root()?;
    let mut output = Output::default();

    let schemas = jar::read_schemas(KAFKA_VERSION)?;
    let protocol = Path::new("data-plane/protocol");
    messages::write(&schemas, &protocol.join("src/messages"), &mut output)?;
    api_keys::write(&schemas, &protocol.join("src/api_key.rs"), &mut output)?;
    samples::write(&schemas, &protocol.join("tests/wire/samples"), &mut output)?;
    fleet::write(&root, &mut output)?;
    output.format()?;

    let owned_directories = [protocol.join("src/messages"), protocol.join("tests/wire/samples")];
    if !check {
        output.write(&root, &owned_directories)?;
        println!("codegen: {} files are written", output.len());
        return Ok(());
    }
    let stale = output.stale_files(&root, &owned_directories)?;
    if stale.is_empty() {
        println!("codegen: {} files are current", output.len());
        return Ok(());
    }
    let list = stale.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    bail!("generated files are stale, run `cargo xtask codegen` and commit: {list}")
}

fn repository_root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(manifest.parent().context("the xtask crate lies below the repository root")?.to_path_buf())
}
