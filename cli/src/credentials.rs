//! The credentials file of `millstream up`: how to reach the service on this machine, and its keys.
//!
//! Promises mode 0600, and that a reader sees either the old or the new content, never half of it. Has no `Debug`:
//! it holds secrets.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Name of the file in the data directory.
pub const CREDENTIALS_FILE: &str = "credentials.json";
/// A credentials file is far smaller than this many bytes.
const MAX_CREDENTIALS_BYTES: u64 = 64 * 1024;
/// Only the owner reads and writes it.
const OWNER_ONLY: u32 = 0o600;

/// Everything that a client of this machine's service needs. The same fields without
/// `admin_password`, and `pid`, are what `millstream up --output json` prints; fields are added over time, never renamed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    pub bootstrap_servers: String,
    pub rest_url: String,
    pub organization_id: String,
    pub environment_id: String,
    pub cluster_id: String,
    #[serde(default)]
    pub service_account_id: String,
    pub kafka_api_key: String,
    pub kafka_api_secret: String,
    pub cloud_api_key: String,
    pub cloud_api_secret: String,
    /// How the first user logs in; data directories of releases before there were logins have none.
    #[serde(flatten)]
    pub admin: Option<AdminLogin>,
    pub data_dir: PathBuf,
    /// SASL_PLAINTEXT or SASL_SSL.
    pub security_protocol: String,
    /// The authority that signed the Kafka listener's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<PathBuf>,
}

/// How the first user of a service logs in. Has no `Debug`: it holds a secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct AdminLogin {
    pub admin_email: String,
    /// The password of the first start: whoever changed it since knows the new one.
    pub admin_password: String,
}

/// Why the credentials file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} is not a credentials file of `millstream up`: line {line}, column {column}")]
    Malformed { path: PathBuf, line: usize, column: usize },
}

impl Credentials {
    /// Reads the file of a data directory; `None` if there is none.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, CredentialsError> {
        let path = data_dir.join(CREDENTIALS_FILE);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CredentialsError::Read { path, source }),
        };
        let mut text = String::new();
        let read = file.take(MAX_CREDENTIALS_BYTES).read_to_string(&mut text);
        if let Err(source) = read {
            return Err(CredentialsError::Read { path, source });
        }
        // The parser's own message may quote the text, and the text has secrets in it.
        let parsed = serde_json::from_str(&text);
        parsed.map(Some).map_err(|error| CredentialsError::Malformed {
            path,
            line: error.line(),
            column: error.column(),
        })
    }

    /// Writes the file of a data directory: a new file beside it, flushed, then renamed over it.
    pub fn save(&self, data_dir: &Path) -> Result<PathBuf, CredentialsError> {
        let path = data_dir.join(CREDENTIALS_FILE);
        let text = serde_json::to_string_pretty(self).expect("strings and paths of this program are valid JSON");
        match write_private_file(&path, format!("{text}\n").as_bytes()) {
            Ok(()) => Ok(path),
            Err(source) => Err(CredentialsError::Write { path, source }),
        }
    }
}

/// Writes a file that only its owner may read, atomically: after a crash there is the old file or the new one.
pub fn write_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_os_string();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(&temporary)?;
    // The mode above counts only for a new file; a leftover of a crash keeps its own.
    file.set_permissions(fs::Permissions::from_mode(OWNER_ONLY))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(data_dir: &Path) -> Credentials {
        Credentials {
            bootstrap_servers: "127.0.0.1:9092".into(),
            rest_url: "http://127.0.0.1:8080".into(),
            organization_id: "0b0e8b3c-0000-4000-8000-000000000000".into(),
            environment_id: "env-a".into(),
            cluster_id: "lkc-a".into(),
            service_account_id: "sa-a".into(),
            kafka_api_key: "K".into(),
            kafka_api_secret: "kafka-secret".into(),
            cloud_api_key: "C".into(),
            cloud_api_secret: "cloud-secret".into(),
            admin: None,
            data_dir: data_dir.to_path_buf(),
            security_protocol: "SASL_PLAINTEXT".into(),
            tls_ca_file: None,
        }
    }

    #[test]
    fn what_was_saved_is_loaded_and_only_the_owner_can_read_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = example(folder.path()).save(folder.path()).expect("saved");
        let mode = fs::metadata(path).expect("file is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let loaded = Credentials::load(folder.path()).expect("loaded").expect("there");
        assert_eq!(loaded.kafka_api_secret, "kafka-secret");
    }

    #[test]
    fn a_leftover_that_everybody_can_read_does_not_leak_the_secret() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let leftover = folder.path().join("credentials.json.new");
        fs::write(&leftover, "").expect("leftover");
        fs::set_permissions(&leftover, fs::Permissions::from_mode(0o644)).expect("mode");
        let path = example(folder.path()).save(folder.path()).expect("saved");
        assert_eq!(fs::metadata(path).expect("file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn no_file_means_no_credentials_and_a_broken_file_is_named_without_its_content() {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert!(Credentials::load(folder.path()).expect("no error").is_none());
        fs::write(folder.path().join(CREDENTIALS_FILE), r#"{"kafka_api_secret": hunter2}"#).expect("written");
        let Err(error) = Credentials::load(folder.path()) else { panic!("a broken file was accepted") };
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
