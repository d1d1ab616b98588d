//! The data directory of `millstream up`: its lock, its version and its secrets.
//!
//! ```text
//! <data>/lock               held while the service runs here; holds the process id
//! <data>/version            version of this layout, one line
//! <data>/credentials.json   what clients need
//! <data>/secrets.json       what the parts of the service need among themselves
//! <data>/agent/             what the control plane asked for last
//! <data>/control-plane/     database and installation secret
//! <data>/broker/            topics, groups, cluster metadata
//! <data>/dedicated/pkc-…/   the same for each dedicated physical cluster
//! <data>/object-store/      buckets of the S3 server
//! <data>/tls/               certificate authority and server certificate
//! ```
//!
//! Promises: two services never share a directory; a directory that is newer, or that is something else, is left
//! untouched; a directory that cannot be written is found before anything is started.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::credentials::write_private_file;
use crate::failure::Failure;

/// The layout that this release reads and writes.
const LAYOUT_VERSION: u32 = 1;
/// Only the owner opens it.
const OWNER_ONLY_DIRECTORY: u32 = 0o700;
const OWNER_ONLY_FILE: u32 = 0o600;
/// What is written to see that writing works.
const PROBE_BYTES: usize = 64 * 1024;
/// Room that must be left on the disk at start, in MiB: less than that fills up while databases are made.
const MIN_FREE_MIB: u64 = 16;
/// Small files of this directory are at most this long.
const MAX_SMALL_FILE_BYTES: u64 = 64 * 1024;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("the data directory {path} is in use by process {pid}")]
    Locked { path: PathBuf, pid: String },
    #[error("the data directory {path} has layout version {found}, this release knows up to {LAYOUT_VERSION}")]
    Newer { path: PathBuf, found: String },
    #[error("{path} has files in it but is not a data directory of millstream")]
    Foreign { path: PathBuf },
    #[error("the data directory {path} is not writable: {reason}")]
    NotWritable { path: PathBuf, reason: String },
    #[error("the disk of the data directory {path} is full: at least {MIN_FREE_MIB} MiB must be free")]
    Full { path: PathBuf },
    #[error("{path} is damaged")]
    Damaged { path: PathBuf },
    #[error("there is no randomness for secrets: {reason}")]
    Random { reason: String },
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        let suggestion = match &error {
            DataDirError::Locked { .. } => "stop that process, or choose another directory with --data-dir",
            DataDirError::Newer { .. } => "use the newer release, or choose another directory with --data-dir",
            DataDirError::Foreign { .. } => "choose an empty or new directory with --data-dir",
            DataDirError::NotWritable { .. } => "change its permissions, or choose another directory with --data-dir",
            DataDirError::Full { .. } => "free some space, or choose a directory on another disk with --data-dir",
            DataDirError::Damaged { .. } => "restore it from a backup, or choose another directory with --data-dir",
            DataDirError::Random { .. } => return Failure::failed(error.to_string()),
        };
        Failure::failed(error.to_string()).suggest(suggestion)
    }
}

/// A locked data directory.
pub struct DataDir {
    path: PathBuf,
    /// The lock goes when the file is closed, however the process ends.
    _lock: File,
}

/// Secrets among the parts of the service. Has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct ServiceSecrets {
    /// What the local agent shows the control plane.
    pub agent_token: String,
    pub object_store_access_key: String,
    pub object_store_secret_key: String,
}

impl DataDir {
    /// Refuses a directory that is in use or that must not be touched, and changes nothing.
    pub fn check(path: &Path) -> Result<(), DataDirError> {
        if !path.exists() {
            return Ok(());
        }
        check_version(path)?;
        if let Ok(lock) = File::open(path.join("lock")) {
            take_lock(lock, path)?;
        }
        Ok(())
    }

    /// Creates the directory if need be, locks it, checks its version and that it can be written.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |error: io::Error| unwritable(path, &error);
        fs::DirBuilder::new().recursive(true).mode(OWNER_ONLY_DIRECTORY).create(path).map_err(failed)?;
        let path = &fs::canonicalize(path).map_err(failed)?;
        check_version(path)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(OWNER_ONLY_FILE);
        let lock = options.open(path.join("lock")).map_err(failed)?;
        let mut lock = take_lock(lock, path)?;
        probe(path)?;
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(failed)?;
        writeln!(lock, "{}", std::process::id()).map_err(failed)?;
        let directory = Self { path: path.clone(), _lock: lock };
        let version = path.join("version");
        if !version.exists() {
            write_private_file(&version, format!("{LAYOUT_VERSION}\n").as_bytes()).map_err(failed)?;
        }
        Ok(directory)
    }

    /// The directory, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder inside of it, created if need be.
    pub fn folder(&self, name: &str) -> Result<PathBuf, DataDirError> {
        let path = self.path.join(name);
        let created = fs::DirBuilder::new().recursive(true).mode(OWNER_ONLY_DIRECTORY).create(&path);
        created.map_err(|error| unwritable(&self.path, &error))?;
        Ok(path)
    }

    /// The secrets of the service; the first start makes them.
    pub fn secrets(&self) -> Result<ServiceSecrets, DataDirError> {
        let path = self.path.join("secrets.json");
        if path.exists() {
            let text = read_small(&path).map_err(|error| unwritable(&self.path, &error))?;
            return serde_json::from_str(&text).map_err(|_| DataDirError::Damaged { path });
        }
        let secrets = ServiceSecrets {
            agent_token: random_text()?,
            object_store_access_key: random_text()?,
            object_store_secret_key: random_text()?,
        };
        let text = serde_json::to_string_pretty(&secrets).expect("strings are valid JSON");
        write_private_file(&path, text.as_bytes()).map_err(|error| unwritable(&self.path, &error))?;
        Ok(secrets)
    }
}

/// 32 random bytes as text.
pub fn random_text() -> Result<String, DataDirError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| DataDirError::Random { reason: error.to_string() })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn check_version(path: &Path) -> Result<(), DataDirError> {
    match read_small(&path.join("version")) {
        Ok(text) => {
            let found = text.trim().to_string();
            let known = found.parse::<u32>().is_ok_and(|version| (1..=LAYOUT_VERSION).contains(&version));
            if known { Ok(()) } else { Err(DataDirError::Newer { path: path.to_path_buf(), found }) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => check_is_empty(path),
        Err(error) => Err(unwritable(path, &error)),
    }
}

/// Without a version file there may be nothing but what `login` or a first start leaves that was ended early.
fn check_is_empty(path: &Path) -> Result<(), DataDirError> {
    let entries = fs::read_dir(path).map_err(|error| unwritable(path, &error))?;
    for entry in entries {
        let name = entry.map_err(|error| unwritable(path, &error))?.file_name();
        let ours =
            ["lock", "version.new", "write-probe", "session.json", "session.json.new"].iter().any(|ours| name == *ours);
        if !ours {
            return Err(DataDirError::Foreign { path: path.to_path_buf() });
        }
    }
    Ok(())
}

fn take_lock(mut lock: File, path: &Path) -> Result<File, DataDirError> {
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = (&mut lock).take(MAX_SMALL_FILE_BYTES).read_to_string(&mut pid);
            let pid = pid.trim();
            let pid = if pid.is_empty() { "unknown" } else { pid }.to_string();
            Err(DataDirError::Locked { path: path.to_path_buf(), pid })
        }
        Err(TryLockError::Error(error)) => Err(unwritable(path, &error)),
    }
}

/// Writes a little and takes it away again, so that a full disk is found before anything is started.
fn probe(path: &Path) -> Result<(), DataDirError> {
    let disk = rustix::fs::statvfs(path).map_err(|error| unwritable(path, &error.into()))?;
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free_bytes < MIN_FREE_MIB * 1024 * 1024 {
        return Err(DataDirError::Full { path: path.to_path_buf() });
    }
    let file = path.join("write-probe");
    let written = fs::write(&file, [0; PROBE_BYTES]).and_then(|()| File::open(&file)?.sync_all());
    let removed = fs::remove_file(&file);
    written.map_err(|error| unwritable(path, &error))?;
    removed.map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> DataDirError {
    let path = path.to_path_buf();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DataDirError::Full { path },
        _ => DataDirError::NotWritable { path, reason: error.to_string() },
    }
}

fn read_small(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_SMALL_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_service_is_refused_and_told_who_has_the_directory() {
        let folder = tempfile::tempdir().expect("folder");
        let held = DataDir::open(folder.path()).expect("opened");
        let Err(error) = DataDir::open(folder.path()) else { panic!("opened twice") };
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        assert!(matches!(DataDir::check(folder.path()), Err(DataDirError::Locked { .. })));
        drop(held);
        assert!(DataDir::open(folder.path()).is_ok());
    }

    #[test]
    fn a_newer_layout_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("version"), "2\n").expect("version");
        assert!(matches!(DataDir::open(folder.path()), Err(DataDirError::Newer { .. })));
        let names: Vec<_> =
            fs::read_dir(folder.path()).expect("read").map(|entry| entry.expect("entry").file_name()).collect();
        assert_eq!(names, ["version"]);
    }

    #[test]
    fn somebody_elses_directory_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("thesis.tex"), "").expect("file");
        assert!(matches!(DataDir::open(folder.path()), Err(DataDirError::Foreign { .. })));
    }

    #[test]
    fn a_first_start_that_was_ended_early_can_be_repeated() {
        let folder = tempfile::tempdir().expect("folder");
        for leftover in ["lock", "version.new", "write-probe", "session.json", "session.json.new"] {
            fs::write(folder.path().join(leftover), "").expect("leftover");
        }
        assert!(DataDir::open(folder.path()).is_ok());
    }

    #[test]
    fn secrets_are_made_once() {
        let folder = tempfile::tempdir().expect("folder");
        let directory = DataDir::open(folder.path()).expect("opened");
        let first = directory.secrets().unwrap_or_else(|error| panic!("{error}"));
        let second = directory.secrets().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(first.agent_token, second.agent_token);
        assert_ne!(first.agent_token, first.object_store_secret_key);
    }

    #[test]
    fn a_full_disk_is_called_full() {
        let error = unwritable(Path::new("/data"), &io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(error, DataDirError::Full { .. }));
    }
}
