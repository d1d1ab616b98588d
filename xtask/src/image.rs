//! `cargo xtask image`: the container image of Millstream, without a daemon or a registry.
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use millstream_e2e::image::Image;

use crate::workspace;

const USAGE: &str = "usage: cargo xtask image [--output FILE | --folder FOLDER]

  writes an image archive for `ctr images import`, `docker load` or `podman load`, or the files of the image into a folder.
  MILLSTREAM_BINARY=FILE takes a program that was built already";
const BINARY_VARIABLE: &str = "MILLSTREAM_BINARY";

/// True if the image was written.
pub fn run(arguments: &[String]) -> Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => drop(build_archive()?),
        ["--output", file] => write_archive(Path::new(file))?,
        ["--folder", folder] => millstream()?.write_folder(Path::new(folder))?,
        _ => bail!("{USAGE}"),
    }
    Ok(true)
}

/// The archive in the target folder.
pub fn build_archive() -> Result<PathBuf> {
    let file = workspace::target_dir()?.join("millstream-image.tar");
    write_archive(&file)?;
    Ok(file)
}

fn write_archive(file: &Path) -> Result<()> {
    let image = millstream()?;
    image.write_archive(file)?;
    println!("{}: {}", image.name, file.display());
    Ok(())
}

fn millstream() -> Result<Image> {
    Image::of_millstream(&program()?, &workspace::target_dir()?)
}

/// The program that was named, or the release build of this workspace.
pub fn program() -> Result<PathBuf> {
    if let Some(file) = std::env::var_os(BINARY_VARIABLE) {
        return Ok(file.into());
    }
    let build = ["build", "--quiet", "--release", "--package", "millstream"];
    if !workspace::cargo().current_dir(workspace::root()).args(build).status()?.success() {
        bail!("cargo build failed");
    }
    Ok(workspace::target_dir()?.join("release").join("millstream"))
}
