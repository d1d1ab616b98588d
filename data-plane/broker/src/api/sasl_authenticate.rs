//! SaslAuthenticate: the client proves its API key with SASL PLAIN.
//!
//! A refused login is answered, then the connection closes. After SaslHandshake version 0 the token comes as a
//! bare frame instead, and the answer is an empty frame or a closed connection.

use bytes::Bytes;
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use millstream_protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use millstream_protocol::reader::Reader;

use super::{Answer, Answered, RequestError, encode, fill_gaps};
use crate::network::output::Piece;
use crate::session::{LoginFailed, Session};

/// The length prefix of an empty frame.
const EMPTY_FRAME: [u8; 4] = [0; 4];

pub(super) fn answer(
    session: &mut Session,
    mut reader: Reader<'_>,
    version: i16,
    correlation_id: i32,
) -> Result<Answered, RequestError> {
    let api = ApiKey::SaslAuthenticate;
    let request = SaslAuthenticateRequest::decode(&mut reader, version)
        .map_err(|source| RequestError::Decode { api: api.name(), source })?;
    let outcome = session.authenticate(&request.auth_bytes);
    let response = match &outcome {
        Ok(_) => SaslAuthenticateResponse { error_code: ErrorCode::None.code(), ..Default::default() },
        Err(LoginFailed::Refused(refused)) => SaslAuthenticateResponse {
            error_code: refused.code.code(),
            error_message: Some(refused.message.as_ref().into()),
            ..Default::default()
        },
        Err(LoginFailed::NotNow) => return Ok(Answer::LastPieces(Vec::new()).into()),
    };
    let pieces = encode(api, version, correlation_id, |writer| response.encode(writer, version))?;
    let pieces = fill_gaps(pieces, Vec::new());
    Ok(match outcome {
        Ok(wait) => Answered { answer: Answer::Pieces(pieces), wait },
        Err(_) => Answer::LastPieces(pieces).into(),
    })
}

pub(super) fn answer_raw(session: &mut Session, token: &[u8]) -> Answered {
    match session.authenticate(token) {
        Ok(wait) => Answered { answer: Answer::Pieces(vec![Piece::Bytes(Bytes::from_static(&EMPTY_FRAME))]), wait },
        Err(_) => Answer::LastPieces(Vec::new()).into(),
    }
}
