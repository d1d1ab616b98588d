//! What an API key opens, and how its secret is formed.

use millstream_api::ids::LogicalClusterId;

/// How every secret begins, so that scanners can spot a leaked one.
const SECRET_PREFIX: &str = "mlst";
/// Random bytes behind the prefix; each chooses one of 64 characters.
pub const SECRET_RANDOM_BYTES: usize = 60;
/// Characters of a secret.
pub const SECRET_CHARS: usize = SECRET_PREFIX.len() + SECRET_RANDOM_BYTES;
/// URL-safe, so that a secret survives shells, properties files and query strings without quoting.
const SECRET_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What a key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyScope {
    /// The control plane, within one organization.
    Cloud,
    /// One Kafka cluster.
    Kafka(LogicalClusterId),
}

/// The secret's text out of random bytes.
pub fn secret_from_random(random: [u8; SECRET_RANDOM_BYTES]) -> String {
    let mut text = String::with_capacity(SECRET_PREFIX.len() + SECRET_RANDOM_BYTES);
    text.push_str(SECRET_PREFIX);
    text.extend(random.iter().map(|byte| char::from(SECRET_ALPHABET[usize::from(byte & 63)])));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_64_characters_and_its_prefix() {
        let secret = secret_from_random([255; SECRET_RANDOM_BYTES]);
        assert_eq!(secret.len(), 64);
        assert!(secret.starts_with("mlst"));
    }
}
