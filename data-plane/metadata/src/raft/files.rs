//! What lies in the directory of a metadata group, and how it is opened.
//!
//! ```text
//! FORMAT     one line of text: "millstream metadata 1"
//! log.redb   the raft log and vote; its lock is the lock of the directory
//! snapshot   the newest snapshot, replaced by rename
//! ```
//!
//! Versions and damage are found before anything is written: a directory that cannot be used stays as it is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The newest layout this release reads, and the one it writes.
pub(crate) const FORMAT_VERSION: u32 = 1;
const FORMAT_PREFIX: &str = "millstream metadata ";
/// More than any FORMAT file holds.
const MAX_FORMAT_BYTES: u64 = 64;

/// Why a metadata group does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process works in the directory.
    #[error("metadata directory {} is locked by another process, stop it or choose another directory", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// Written by a newer release.
    #[error("{} has version {found}, this release reads up to {supported}: use a newer release", file.display())]
    NewerVersion {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that can be read.
        supported: u32,
    },
    /// Not what this software wrote.
    #[error("{} is damaged: {reason}; restore it from a backup or move it away", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory belongs to another voter.
    #[error("metadata directory {} belongs to voter {found}, not to voter {expected}", directory.display())]
    OtherVoter {
        /// The directory.
        directory: PathBuf,
        /// Whose it is.
        found: u64,
        /// Who asked.
        expected: u64,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", file.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: PathBuf,
        /// Its answer.
        #[source]
        source: io::Error,
    },
    /// The raft group did not come up.
    #[error("metadata group did not start: {reason}")]
    Raft {
        /// Why.
        reason: String,
    },
}

/// The paths in the directory of a group.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) directory: PathBuf,
    pub(crate) format: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) snapshot: PathBuf,
}

impl Layout {
    pub(crate) fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            format: directory.join("FORMAT"),
            log: directory.join("log.redb"),
            snapshot: directory.join("snapshot"),
        }
    }

    /// Checks or creates the directory and its FORMAT. Nothing else is touched yet.
    pub(crate) fn prepare(&self) -> Result<(), StartError> {
        fs::create_dir_all(&self.directory).map_err(io_error("create", &self.directory))?;
        match read_bounded(&self.format, MAX_FORMAT_BYTES) {
            Ok(Some(text)) => self.check_format(&text),
            Ok(None) if self.log.exists() || self.snapshot.exists() => {
                Err(self.damaged(&self.format, "it is missing although the directory is in use"))
            }
            Ok(None) => {
                let text = format!("{FORMAT_PREFIX}{FORMAT_VERSION}\n");
                write_durably(&self.format, &[text.as_bytes()]).map_err(io_error("write", &self.format))
            }
            Err(source) => Err(StartError::Io { action: "read", file: self.format.clone(), source }),
        }
    }

    fn check_format(&self, text: &[u8]) -> Result<(), StartError> {
        let version = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.strip_prefix(FORMAT_PREFIX))
            .and_then(|version| version.trim_end().parse::<u32>().ok());
        match version {
            Some(found) if found > FORMAT_VERSION => {
                Err(StartError::NewerVersion { file: self.format.clone(), found, supported: FORMAT_VERSION })
            }
            Some(FORMAT_VERSION) => Ok(()),
            Some(_) | None => Err(self.damaged(&self.format, "it is not a format of this software")),
        }
    }

    pub(crate) fn damaged(&self, file: &Path, reason: impl Into<String>) -> StartError {
        StartError::Damaged { file: file.to_owned(), reason: reason.into() }
    }
}

pub(crate) fn io_error(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> StartError {
    let file = file.to_owned();
    move |source| StartError::Io { action, file, source }
}

/// The whole file; `None` if there is none. One byte above the limit is an error of kind `InvalidData`.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "file is too large"));
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, limit), &mut bytes)?;
    Ok(Some(bytes))
}

/// Replaces a file: after a crash there is the old one or the new one, never a mixture.
pub(crate) fn write_durably(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    for piece in pieces {
        file.write_all(piece)?;
    }
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The rename is durable once the directory is.
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
