//! SaslHandshake: the client names its SASL mechanism.

use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use millstream_protocol::messages::sasl_handshake_response::SaslHandshakeResponse;
use millstream_protocol::reader::Reader;

use super::{Answer, RequestError, fill_gaps, plain};
use crate::session::{MECHANISM, Session};

pub(super) fn answer(
    session: &mut Session,
    mut reader: Reader<'_>,
    version: i16,
    correlation_id: i32,
) -> Result<Answer, RequestError> {
    let api = ApiKey::SaslHandshake;
    let request = SaslHandshakeRequest::decode(&mut reader, version)
        .map_err(|source| RequestError::Decode { api: api.name(), source })?;
    let agreed = session.handshake(&request.mechanism, version);
    let code = agreed.as_ref().map_or_else(|refused| refused.code, |()| ErrorCode::None);
    let response = SaslHandshakeResponse { error_code: code.code(), mechanisms: vec![MECHANISM.into()] };
    if agreed.is_ok() {
        return plain(api, version, correlation_id, |writer| response.encode(writer, version));
    }
    let pieces = super::encode(api, version, correlation_id, |writer| response.encode(writer, version))?;
    Ok(Answer::LastPieces(fill_gaps(pieces, Vec::new())))
}
