//! Container images without a daemon or a registry: an OCI image archive, written file by file. Deterministic: the same files give the
//! same bytes. `ctr images import`, `docker load` and `podman load` read it.
mod archive;
mod java;
mod libraries;
mod oci;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

pub use libraries::shared_libraries;

/// Whom the program runs as; every image of ours does without root.
pub const USER: &str = "65532:65532";

/// What a container sees at first: nothing but these layers, from the lowest.
#[derive(Debug, Clone)]
pub struct Image {
    /// With a tag, such as `millstream.dev/millstream:0.1.0`.
    pub name: String,
    pub entrypoint: String,
    pub layers: Vec<Layer>,
}

/// Files that change together.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// Path inside of the image and file on this machine. Who may execute the one may execute the other.
    pub files: Vec<(String, PathBuf)>,
    /// Empty folders that everybody may write to.
    pub folders: Vec<String>,
}

impl Layer {
    /// Adds the shared libraries that a program is linked with.
    fn add_libraries_of(&mut self, program: &Path) -> Result<()> {
        for library in shared_libraries(program)? {
            let file = library.canonicalize().with_context(|| format!("cannot find {}", library.display()))?;
            let entry = (library.display().to_string(), file);
            if !self.files.contains(&entry) {
                self.files.push(entry);
            }
        }
        Ok(())
    }
}

/// Nobody publishes there: a node never pulls it by accident.
const MILLSTREAM_REPOSITORY: &str = "millstream.dev/millstream";
/// Where S3 clients look for the certificates of public authorities.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
const PROGRAM: &str = "/millstream";

/// The name of the product's image in this version.
pub fn millstream_name() -> String {
    millstream_tagged(env!("CARGO_PKG_VERSION"))
}

/// The name of the product's image with another tag.
pub fn millstream_tagged(tag: &str) -> String {
    format!("{MILLSTREAM_REPOSITORY}:{tag}")
}

impl Image {
    /// The image of the product: the program without its debug information, the libraries it is linked with, certificates of public
    /// authorities. Writes the smaller program into `folder`.
    pub fn of_millstream(program: &Path, folder: &Path) -> Result<Self> {
        ensure!(program.is_file(), "{} does not exist", program.display());
        ensure!(Path::new(CERTIFICATES).is_file(), "{CERTIFICATES} does not exist: apt-get install ca-certificates");
        let mut lower =
            Layer { files: vec![(CERTIFICATES.to_owned(), CERTIFICATES.into())], folders: vec!["/tmp".into()] };
        lower.add_libraries_of(program)?;
        let upper = Layer { files: vec![(PROGRAM.to_owned(), stripped(program, folder)?)], folders: Vec::new() };
        Ok(Self { name: millstream_name(), entrypoint: PROGRAM.to_owned(), layers: vec![lower, upper] })
    }

    /// Writes the archive; replaces a file of that name once it is complete.
    pub fn write_archive(&self, file: &Path) -> Result<()> {
        let unfinished = file.with_extension("unfinished");
        std::fs::write(&unfinished, oci::archive(self)?)
            .with_context(|| format!("cannot write {}", unfinished.display()))?;
        std::fs::rename(&unfinished, file)?;
        Ok(())
    }

    /// Writes the files into a folder, for a Containerfile to copy.
    pub fn write_folder(&self, folder: &Path) -> Result<()> {
        for layer in &self.layers {
            for (path, source) in &layer.files {
                let target = folder.join(path.trim_start_matches('/'));
                if let Some(parent) = target.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::fs::copy(source, &target).with_context(|| format!("cannot write {}", target.display()))?;
            }
            for path in &layer.folders {
                std::fs::create_dir_all(folder.join(path.trim_start_matches('/')))?;
            }
        }
        Ok(())
    }
}

/// A copy without debug information, a fifth of the size. Names of functions stay, so that a panic still tells where it was.
fn stripped(program: &Path, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join("millstream-without-debug-information");
    let strip = Command::new("strip").args(["--strip-debug", "-o"]).arg(&copy).arg(program).status();
    let status = strip.context("cannot run strip: apt-get install binutils")?;
    ensure!(status.success(), "strip {} failed ({status})", program.display());
    Ok(copy)
}
