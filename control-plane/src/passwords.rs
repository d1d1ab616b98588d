//! Passwords: hashed with argon2id, off the threads that serve requests, a few at a time.
//!
//! Promises: a check takes as long for an unknown user as for a known one; the memory of all checks together is
//! bounded. Never keeps or logs a password.

use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::random::{self, RandomError};

/// Hashes computed at the same time: each takes `MEMORY_KIB` and a core.
const MAX_CONCURRENT: usize = 2;
/// How long a request waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// What OWASP recommends for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// A hash like those of passwords, of nobody's password, for users that do not exist.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LW5vYm9keS0$aM15713r3Xsvxbi31lqr1Q9GLTDCJOhDJNZhTUDAxds";

/// Hashes passwords.
pub struct Passwords {
    permits: Semaphore,
}

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many others wait.
    #[error("too many passwords are being checked")]
    Busy,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The hash function refused, or its thread ended.
    #[error("the password cannot be hashed")]
    Hash,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { permits: Semaphore::new(MAX_CONCURRENT) }
    }
}

impl Passwords {
    /// The hash of a password, with a salt of its own.
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let _permit = self.turn().await?;
        let (password, salt) = (password.to_owned(), random::bytes::<SALT_BYTES>()?);
        let hashing = tokio::task::spawn_blocking(move || {
            let hash = argon2()?.hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|_| PasswordError::Hash)
        });
        hashing.await.map_err(|_| PasswordError::Hash)?
    }

    /// Whether a password belongs to a hash; without a hash it takes as long and fails.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, PasswordError> {
        let _permit = self.turn().await?;
        let hash = hash.filter(|hash| !hash.is_empty());
        let is_known = hash.is_some();
        let (password, hash) = (password.to_owned(), hash.unwrap_or(NOBODYS_HASH).to_owned());
        let checking = tokio::task::spawn_blocking(move || {
            let hash = PasswordHash::new(&hash).map_err(|_| PasswordError::Hash)?;
            Ok(argon2()?.verify_password(password.as_bytes(), &hash).is_ok())
        });
        let matches = checking.await.map_err(|_| PasswordError::Hash)?;
        matches.map(|matches| matches && is_known)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, PasswordError> {
        let permit = timeout(TURN_TIMEOUT, self.permits.acquire()).await;
        permit.map_err(|_| PasswordError::Busy)?.map_err(|_| PasswordError::Busy)
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordError::Hash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_belongs_to_its_password_only() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse").await.expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse").await.expect("hashed"), "each has a salt of its own");
        assert!(passwords.verify("correct horse", Some(&hash)).await.expect("checked"));
        assert!(!passwords.verify("Correct horse", Some(&hash)).await.expect("checked"));
    }

    #[tokio::test]
    async fn nobodys_hash_is_a_hash_and_nobodys() {
        assert!(PasswordHash::new(NOBODYS_HASH).is_ok());
        for hash in [None, Some("")] {
            assert!(!Passwords::default().verify("nobody", hash).await.expect("checked"));
        }
    }
}
