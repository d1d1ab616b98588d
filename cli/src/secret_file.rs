//! Files that a command is told of: read whole, with the path in every failure.
//!
//! Never puts what is in a file into a message.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::failure::Failure;

/// Bytes of a file at most that are read; none that a command is told of is this long.
const MAX_BYTES: u64 = 1024 * 1024;

/// The text of a file.
pub fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::failed(format!("cannot read {}: {error}", path.display()))
            .suggest("is the path right, and may this user read it?")),
    }
}

/// The secret in a file of one line; editors and shells like to end it with a newline.
pub fn read_secret(path: &Path) -> Result<String, Failure> {
    let text = read(path)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::failed(format!("{} is empty", path.display())).suggest("put the secret into it"));
    }
    Ok(secret.to_owned())
}
