//! Fetches the `kafka-clients` jar with Maven and reads the message schemas inside it.
//!
//! The jar is kept in the user's cache directory, outside the repository.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::schema::Message;

const SCHEMA_DIRECTORY: &str = "common/message/";

/// Far above the largest schema; a jar that claims more is not what we think it is.
const MAX_SCHEMA_BYTES: u64 = 1024 * 1024;

/// All message schemas of `kafka-clients`, sorted by name.
pub fn read_schemas(version: &str) -> Result<Vec<Message>> {
    let jar = fetch(version)?;
    let mut archive = zip::ZipArchive::new(File::open(&jar)?).with_context(|| format!("open {}", jar.display()))?;
    let mut messages = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        let name = entry.name().to_owned();
        if !(name.starts_with(SCHEMA_DIRECTORY) && name.ends_with(".json")) {
            continue;
        }
        let mut text = String::new();
        entry.take(MAX_SCHEMA_BYTES).read_to_string(&mut text)?;
        messages.push(Message::parse(&name, &text).with_context(|| format!("schema {name}"))?);
    }
    if messages.is_empty() {
        bail!("{} holds no {SCHEMA_DIRECTORY}*.json", jar.display());
    }
    messages.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(messages)
}

fn fetch(version: &str) -> Result<PathBuf> {
    let directory = cache_directory()?;
    let jar = directory.join(format!("kafka-clients-{version}.jar"));
    if jar.exists() {
        return Ok(jar);
    }
    std::fs::create_dir_all(&directory)?;
    download(version, &directory)?;
    if !jar.exists() {
        bail!("mvn ran but left no {}", jar.display());
    }
    Ok(jar)
}

fn download(version: &str, directory: &Path) -> Result<()> {
    let status = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "dependency:copy"])
        .arg(format!("-Dartifact=org.apache.kafka:kafka-clients:{version}"))
        .arg(format!("-DoutputDirectory={}", directory.display()))
        .current_dir(directory)
        .status()
        .context("run mvn (Apache Maven), which fetches the kafka-clients jar: install it and a JDK")?;
    if !status.success() {
        bail!("mvn could not fetch kafka-clients {version}: {status}");
    }
    Ok(())
}

fn cache_directory() -> Result<PathBuf> {
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(cache).join("millstream"));
    }
    let home = std::env::var_os("HOME").context("HOME or XDG_CACHE_HOME must be set, for the cache of fetched jars")?;
    Ok(PathBuf::from(home).join(".cache/millstream"))
}
