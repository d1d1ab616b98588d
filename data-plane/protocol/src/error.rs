//! Why bytes could not be read or written.
//!
//! Every error is the peer's or the caller's mistake and is returned, never a panic. Errors carry sizes and field
//! names only, never field values, so they can be logged.

use thiserror::Error;

/// Bytes from a peer that are not what the schema says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("{needed} more bytes are needed, {remaining} remain")]
    Truncated { needed: usize, remaining: usize },
    #[error("length {length} is negative")]
    NegativeLength { length: i64 },
    #[error("{count} elements of at least {smallest_bytes} bytes cannot fit into the remaining {remaining} bytes")]
    TooManyElements { count: usize, smallest_bytes: usize, remaining: usize },
    #[error("string of {length} bytes is longer than {limit} bytes")]
    StringTooLong { length: usize, limit: usize },
    #[error("string is not valid UTF-8")]
    InvalidUtf8,
    #[error("null where the field does not allow it")]
    UnexpectedNull,
    #[error("variable-length integer does not end in {max_bytes} bytes or overflows")]
    InvalidVarint { max_bytes: usize },
    #[error("nullable struct starts with {marker}, expected -1 or 1")]
    InvalidNullMarker { marker: i8 },
    #[error("tagged field {tag} has {left} bytes that its schema does not explain")]
    TaggedFieldSize { tag: u32, left: usize },
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
}

/// A message that cannot be expressed in the wanted version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("{field} is set but does not exist in version {version}: leave it at its default")]
    FieldNotInVersion { field: &'static str, version: i16 },
    #[error("{field} is null, which version {version} does not allow")]
    NullNotAllowed { field: &'static str, version: i16 },
    #[error("string of {length} bytes is longer than {limit} bytes")]
    StringTooLong { length: usize, limit: usize },
    #[error("{length} bytes or elements are more than {limit}")]
    TooLong { length: usize, limit: usize },
}
