//! The data directory of a broker: its lock, its layout version and the mark of a clean shutdown.
//!
//! ```text
//! <data>/lock             held while a broker runs here
//! <data>/format           version of this layout, one line
//! <data>/clean-shutdown   present only between a clean stop and the next start
//! <data>/metadata/        cluster metadata: raft log and snapshots
//! <data>/partitions/      <logical cluster>/<topic id>/<partition>/
//! <data>/groups/          consumer groups and committed offsets
//! <data>/tenants/         what the control plane said last
//! ```
//!
//! Promises: two processes never use one directory; a directory of a newer layout is left untouched.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The layout this release reads and writes.
const FORMAT: u32 = 1;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process holds it.
    #[error("data directory {path} is in use by another broker")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// It was written by a newer release.
    #[error("data directory {path} has format {found}, this release reads format {FORMAT}")]
    Newer {
        /// The directory.
        path: PathBuf,
        /// What its format file says.
        found: String,
    },
    /// It cannot be created, read or written.
    #[error("cannot use data directory {path}: {source}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A locked data directory.
pub(crate) struct DataDir {
    path: PathBuf,
    /// Closing the file gives the lock back.
    _lock: File,
}

impl DataDir {
    /// Creates the directory if it is missing, locks it and checks its format.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let directory = Self { path: path.to_owned(), _lock: lock };
        directory.check_format()?;
        Ok(directory)
    }

    /// A place inside of it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether the last stop was clean. The mark is taken away, so that a crash from here on is seen.
    pub(crate) fn take_clean_shutdown(&self) -> Result<bool, DataDirError> {
        let mark = self.path.join("clean-shutdown");
        match fs::remove_file(&mark) {
            Ok(()) => {
                sync_directory(&self.path).map_err(|source| DataDirError::Io { path: self.path.clone(), source })?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(DataDirError::Io { path: mark, source }),
        }
    }

    /// Leaves the mark of a clean shutdown.
    pub(crate) fn mark_clean_shutdown(&self) -> Result<(), DataDirError> {
        let mark = self.path.join("clean-shutdown");
        write_synced(&mark, b"").map_err(|source| DataDirError::Io { path: mark, source })
    }

    fn check_format(&self) -> Result<(), DataDirError> {
        let path = self.path.join("format");
        let failed = |source| DataDirError::Io { path: path.clone(), source };
        match fs::read_to_string(&path) {
            Ok(text) => {
                let found = text.trim();
                if found.parse::<u32>().is_ok_and(|version| version <= FORMAT) {
                    return Ok(());
                }
                Err(DataDirError::Newer { path: self.path.clone(), found: found.chars().take(32).collect() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_synced(&path, format!("{FORMAT}\n").as_bytes()).map_err(failed)
            }
            Err(source) => Err(failed(source)),
        }
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), sync_directory)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_used_by_one_broker_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let first = DataDir::open(root.path()).unwrap();
        assert!(matches!(DataDir::open(root.path()), Err(DataDirError::Locked { .. })));
        drop(first);
        assert!(DataDir::open(root.path()).is_ok());
    }

    #[test]
    fn a_newer_format_is_refused_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("format"), "2\n").unwrap();
        assert!(matches!(DataDir::open(root.path()), Err(DataDirError::Newer { .. })));
        assert_eq!(fs::read_to_string(root.path().join("format")).unwrap(), "2\n");
    }

    #[test]
    fn a_clean_shutdown_is_believed_once() {
        let root = tempfile::tempdir().unwrap();
        let directory = DataDir::open(root.path()).unwrap();
        assert!(!directory.take_clean_shutdown().unwrap());
        directory.mark_clean_shutdown().unwrap();
        assert!(directory.take_clean_shutdown().unwrap());
        assert!(!directory.take_clean_shutdown().unwrap());
    }
}
