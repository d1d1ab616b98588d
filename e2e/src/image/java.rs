//! An image with a Java program of a suite: this machine's Java, cut down to what Kafka's client uses, and the jars.
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Image, Layer};
use crate::files::files_below;

/// What Kafka's client uses of Java.
const MODULES: &str = "java.base,java.logging,java.management,java.naming,java.security.jgss,java.security.sasl,\
    jdk.crypto.ec,jdk.net,jdk.unsupported";
const RUNTIME: &str = "/java";
const PROGRAM: &str = "/checks/checks.jar";

impl Image {
    /// Its entrypoint is the virtual machine; the class path of the program is `/checks/checks.jar`. Keeps the runtime in `folder`.
    pub fn of_java(name: &str, jar: &Path, folder: &Path) -> Result<Self> {
        let runtime = runtime(folder)?;
        let mut lower = Layer { files: Vec::new(), folders: vec!["/tmp".into()] };
        for file in files_below(&runtime)? {
            let inside = file.strip_prefix(&runtime)?.display().to_string();
            // All that it loads later needs no library of the system besides those of these two.
            if ["bin/java", "lib/server/libjvm.so"].contains(&inside.as_str()) {
                lower.add_libraries_of(&file)?;
            }
            lower.files.push((format!("{RUNTIME}/{inside}"), file));
        }
        // Libraries of the runtime itself are found beside the program.
        lower.files.retain(|(path, file)| path.starts_with(RUNTIME) || !file.starts_with(&runtime));
        let mut upper = Layer { files: vec![(PROGRAM.to_owned(), jar.to_owned())], folders: Vec::new() };
        let libraries = jar.with_file_name("lib");
        for file in files_below(&libraries)? {
            upper.files.push((format!("/checks/lib/{}", file.strip_prefix(&libraries)?.display()), file));
        }
        let entrypoint = format!("{RUNTIME}/bin/java");
        Ok(Self { name: name.to_owned(), entrypoint, layers: vec![lower, upper] })
    }
}

fn runtime(folder: &Path) -> Result<PathBuf> {
    let runtime = folder.join("java-runtime");
    if runtime.is_dir() {
        return Ok(runtime);
    }
    let unfinished = folder.join("java-runtime.unfinished");
    match std::fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut command = Command::new("jlink");
    command.args(["--strip-debug", "--no-header-files", "--no-man-pages", "--add-modules", MODULES, "--output"]);
    let output = command.arg(&unfinished).output().context("cannot run jlink, which a JDK has")?;
    ensure!(output.status.success(), "jlink: {}", String::from_utf8_lossy(&output.stdout));
    std::fs::rename(&unfinished, &runtime)?;
    Ok(runtime)
}
