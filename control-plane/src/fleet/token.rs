//! Bearer tokens in gRPC metadata.

use tonic::Status;
use tonic::metadata::MetadataMap;

/// Characters of a token at most.
const MAX_TOKEN_CHARS: usize = 1_024;

/// The token of `authorization: Bearer <token>`.
pub fn bearer(metadata: &MetadataMap) -> Result<&str, Status> {
    let missing = || Status::unauthenticated("send the metadata authorization: Bearer <token>");
    let value = metadata.get("authorization").and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    let well_formed = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_TOKEN_CHARS;
    if well_formed { Ok(token) } else { Err(missing()) }
}
