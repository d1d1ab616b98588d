//! The session that `millstream login` began: a token, kept in a file of the data directory until it is over.
//!
//! Promises mode 0600 and that the token is sent to the service that gave it only. Never keeps a password. Has no
//! `Debug`: it holds a secret.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::credentials::write_private_file;
use crate::failure::Failure;
use crate::rest_client::{Identity, RestClient, RestError};

const SESSION_FILE: &str = "session.json";

/// A session.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// The service that it was begun at.
    pub rest_url: String,
    pub session_id: String,
    pub organization_id: String,
    pub email: String,
    pub token: String,
    pub expires_at: DateTime<Utc>,
}

impl Session {
    /// Reads the session of a data directory; `None` if nobody is logged in.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, Failure> {
        let path = file_in(data_dir);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::failed(format!("cannot read {}: {error}", path.display()))),
        };
        // The parser's own message may quote the token.
        serde_json::from_slice(&bytes).map(Some).map_err(|_| {
            Failure::failed(format!("{} is damaged", path.display())).suggest("delete the file and log in again")
        })
    }

    /// Keeps the session in a data directory.
    pub fn save(&self, data_dir: &Path) -> Result<PathBuf, Failure> {
        let path = file_in(data_dir);
        let text = serde_json::to_vec_pretty(self).expect("strings are valid JSON");
        let written = fs::create_dir_all(data_dir).and_then(|()| write_private_file(&path, &text));
        written.map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
        Ok(path)
    }

    /// Forgets the session of a data directory.
    pub fn forget(data_dir: &Path) -> Result<(), Failure> {
        let path = file_in(data_dir);
        fs::remove_file(&path).map_err(|error| Failure::failed(format!("cannot delete {}: {error}", path.display())))
    }

    /// The REST API, as the user of this session.
    pub fn api(&self, ca_file: Option<&Path>) -> Result<RestClient, RestError> {
        let ca_file = ca_file.filter(|_| self.rest_url.starts_with("https:"));
        RestClient::new(&self.rest_url, Identity::Token(self.token.clone()), ca_file)
    }

    /// Whether the token is worth nothing any more.
    pub fn is_over(&self) -> bool {
        self.expires_at <= Utc::now()
    }
}

fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join(SESSION_FILE)
}
