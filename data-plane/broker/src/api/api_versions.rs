//! ApiVersions: what this broker serves. Answered before authentication.
//!
//! A version above ours gets a version 0 body with UNSUPPORTED_VERSION and the list, so that the client can
//! step down on the same connection (KIP-511).

use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::api_versions_request::ApiVersionsRequest;
use millstream_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use millstream_protocol::reader::Reader;
use millstream_protocol::version_table;

use super::{Answer, RequestError, plain};

/// Longest client software name or version, as in Kafka's own check.
const MAX_SOFTWARE_BYTES: usize = 255;

pub(super) fn answer(mut reader: Reader<'_>, version: i16, correlation_id: i32) -> Result<Answer, RequestError> {
    let api = ApiKey::ApiVersions;
    if !version_table::is_served(api, version) {
        let response = respond(ErrorCode::UnsupportedVersion);
        return plain(api, 0, correlation_id, |writer| response.encode(writer, 0));
    }
    let request = ApiVersionsRequest::decode(&mut reader, version)
        .map_err(|source| RequestError::Decode { api: api.name(), source })?;
    let names_itself = version < 3
        || (is_software_name(&request.client_software_name) && is_software_name(&request.client_software_version));
    let code = if names_itself { ErrorCode::None } else { ErrorCode::InvalidRequest };
    let response = respond(code);
    plain(api, version, correlation_id, |writer| response.encode(writer, version))
}

/// Kafka's rule: letters, digits, `.` and `-`, beginning and ending with a letter or digit.
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= MAX_SOFTWARE_BYTES
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

fn respond(code: ErrorCode) -> ApiVersionsResponse<'static> {
    let api_keys = version_table::SERVED
        .iter()
        .map(|served| ApiVersion { api_key: served.key.key(), min_version: served.min, max_version: served.max })
        .collect();
    ApiVersionsResponse { error_code: code.code(), api_keys, ..ApiVersionsResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_software_name_follows_kafkas_rule() {
        for good in ["librdkafka", "apache-kafka-java", "2.16.0", "a"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "a/b", "é"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
