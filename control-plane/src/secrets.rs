//! The installation's root secret and what is derived from it: the pepper of API-key hashes and broker tokens.
//!
//! Promises: 32 random bytes, made once, in a file of mode 0600; everything else is an HMAC of a label under them, so
//! that a token comes out the same after each restart without being stored. Never printed.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millstream_api::ids::{ApiKeyId, PhysicalClusterId};

use crate::random::{self, RandomError};

/// Bytes of the root secret and of each key derived from it.
pub const SECRET_BYTES: usize = 32;
/// Name of the file in the secrets directory.
const ROOT_SECRET_FILE: &str = "installation-secret";

/// Where the root secret comes from.
pub enum SecretsSource {
    /// A directory; the secret is made there at the first start.
    Directory(PathBuf),
    /// The secret itself.
    Bytes([u8; SECRET_BYTES]),
}

/// Why the root secret is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file cannot be read or written.
    #[error("the installation secret {path} cannot be read or made: check the directory's permissions")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file has another length.
    #[error("the installation secret {path} is damaged: it must have {SECRET_BYTES} bytes; restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Keys of this installation.
pub struct InstallationSecrets {
    root: hmac::Key,
    pepper: [u8; SECRET_BYTES],
    pepper_key: hmac::Key,
}

impl InstallationSecrets {
    /// Reads the root secret, or makes it.
    pub fn load(source: &SecretsSource) -> Result<Self, SecretsError> {
        match source {
            SecretsSource::Bytes(bytes) => Ok(Self::from_root(bytes)),
            SecretsSource::Directory(directory) => Ok(Self::from_root(&read_or_create(directory)?)),
        }
    }

    fn from_root(bytes: &[u8; SECRET_BYTES]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let pepper = derive(&root, &["api-key pepper"]);
        let pepper_key = hmac::Key::new(hmac::HMAC_SHA256, &pepper);
        Self { root, pepper, pepper_key }
    }

    /// The key of API-key hashes, for brokers.
    pub fn pepper(&self) -> &[u8] {
        &self.pepper
    }

    /// The hash under which an API key's secret is stored.
    pub fn hash_api_key_secret(&self, id: &ApiKeyId, secret: &str) -> Vec<u8> {
        hmac::sign(&self.pepper_key, format!("{id}:{secret}").as_bytes()).as_ref().to_vec()
    }

    /// Whether a secret belongs to a hash, in constant time.
    pub fn verify_api_key_secret(&self, id: &ApiKeyId, secret: &str, hash: &[u8]) -> bool {
        hmac::verify(&self.pepper_key, format!("{id}:{secret}").as_bytes(), hash).is_ok()
    }

    /// What the brokers of a physical cluster present.
    pub fn broker_token(&self, physical_cluster: &PhysicalClusterId) -> String {
        URL_SAFE_NO_PAD.encode(derive(&self.root, &["broker token", physical_cluster.as_str()]))
    }

    /// Whether a token belongs to a physical cluster, in constant time.
    pub fn verify_broker_token(&self, physical_cluster: &PhysicalClusterId, token: &str) -> bool {
        same_secret(self.broker_token(physical_cluster).as_bytes(), token.as_bytes())
    }

    /// A value that tells whether a database was written under the same root secret.
    pub fn check_value(&self) -> Vec<u8> {
        derive(&self.root, &["database check"]).to_vec()
    }

    /// Bytes that only this installation can compute, the same for the same labels.
    pub fn derive(&self, labels: &[&str]) -> [u8; SECRET_BYTES] {
        derive(&self.root, labels)
    }
}

/// Compares two secrets in constant time.
pub fn same_secret(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

fn derive(root: &hmac::Key, labels: &[&str]) -> [u8; SECRET_BYTES] {
    let mut context = hmac::Context::with_key(root);
    context.update(b"millstream v1");
    for label in labels {
        // Lengths in front, so that no two lists of labels give the same bytes.
        context.update(&(label.len() as u64).to_be_bytes());
        context.update(label.as_bytes());
    }
    let mut bytes = [0; SECRET_BYTES];
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}

fn read_or_create(directory: &Path) -> Result<[u8; SECRET_BYTES], SecretsError> {
    let path = directory.join(ROOT_SECRET_FILE);
    let file_error = |source| SecretsError::File { path: path.clone(), source };
    match fs::read(&path) {
        Ok(bytes) => bytes.try_into().map_err(|_| SecretsError::Damaged { path: path.clone() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes = random::bytes::<SECRET_BYTES>()?;
            write_durably(directory, &path, &bytes).map_err(file_error)?;
            Ok(bytes)
        }
        Err(error) => Err(file_error(error)),
    }
}

/// Writes beside and renames, so that a crash leaves either no file or a whole one.
fn write_durably(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let temporary = path.with_extension("new");
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_root_secret_is_made_once_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let source = SecretsSource::Directory(directory.path().join("secrets"));
        let first = InstallationSecrets::load(&source).expect("it is made");
        let second = InstallationSecrets::load(&source).expect("it is read");
        assert_eq!(first.pepper(), second.pepper());
        let file = directory.path().join("secrets").join(ROOT_SECRET_FILE);
        assert_eq!(fs::metadata(file).expect("it exists").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_root_secret_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join(ROOT_SECRET_FILE);
        fs::write(&file, b"short").expect("written");
        let source = SecretsSource::Directory(directory.path().to_owned());
        assert!(matches!(InstallationSecrets::load(&source), Err(SecretsError::Damaged { .. })));
        assert_eq!(fs::read(&file).expect("still there"), b"short");
    }

    #[test]
    fn a_secret_verifies_only_with_its_own_key_id() {
        let secrets = InstallationSecrets::from_root(&[7; SECRET_BYTES]);
        let id = ApiKeyId::from_random([1; 16]);
        let hash = secrets.hash_api_key_secret(&id, "secret");
        assert!(secrets.verify_api_key_secret(&id, "secret", &hash));
        assert!(!secrets.verify_api_key_secret(&id, "Secret", &hash));
        assert!(!secrets.verify_api_key_secret(&ApiKeyId::from_random([2; 16]), "secret", &hash));
    }

    #[test]
    fn each_physical_cluster_has_its_own_token() {
        let secrets = InstallationSecrets::from_root(&[7; SECRET_BYTES]);
        let (one, two) = ("pkc-a".parse().expect("an id"), "pkc-b".parse().expect("an id"));
        assert!(secrets.verify_broker_token(&one, &secrets.broker_token(&one)));
        assert!(!secrets.verify_broker_token(&two, &secrets.broker_token(&one)));
        assert!(!secrets.verify_broker_token(&one, ""));
    }
}
