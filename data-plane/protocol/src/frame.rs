//! Frames: a 32-bit length, a header, a message.
//!
//! ```text
//! | length (4) | api key (2) | version (2) | correlation id (4) | client id | tagged fields | request … |
//! | length (4) | correlation id (4) | tagged fields | response … |
//! ```
//!
//! The length does not count itself. Promises: a length is judged before anybody allocates by it; a header of an API
//! or version that is not known still gives its correlation id where Kafka would answer. Never does I/O.

use bytes::Bytes;
use thiserror::Error;

use crate::api_key::ApiKey;
use crate::error::{DecodeError, EncodeError};
use crate::messages::request_header::RequestHeader;
use crate::messages::response_header::ResponseHeader;
use crate::reader::Reader;
use crate::writer::{OutputPiece, Writer};

/// The bytes of the length in front of every frame.
pub const LENGTH_BYTES: usize = 4;

/// Kafka's `socket.request.max.bytes`: the largest frame of an authenticated connection.
pub const MAX_FRAME_BYTES: usize = 100 * 1024 * 1024;

/// Kafka's `sasl.server.max.receive.size`: the largest frame before authentication.
pub const MAX_UNAUTHENTICATED_FRAME_BYTES: usize = 512 * 1024;

/// The largest frame of an API that carries no records. Decoded, a hostile frame can take some 30 times its size.
pub const MAX_RECORDLESS_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// The least that a request header takes: key, version, correlation id and a client id.
const SMALLEST_REQUEST_BYTES: usize = 10;

/// Room for the header and a small message, so that most messages need one allocation.
const INITIAL_CAPACITY: usize = 512;

/// A frame after which the connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    #[error("frame length {length} is too short for a request")]
    TooShort { length: i32 },
    #[error("frame of {length} bytes is larger than {limit} bytes")]
    TooLarge { length: usize, limit: usize },
    #[error("api key {key} is not known")]
    UnknownApi { key: i16 },
    #[error("request header cannot be read")]
    Header(#[from] DecodeError),
}

/// A request's header, and the bytes of its body.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub api_key: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<&'a str>,
    pub body: Reader<'a>,
}

/// The size of the frame that follows this prefix, if it is between the smallest request and `limit`.
pub fn request_length(prefix: [u8; LENGTH_BYTES], limit: usize) -> Result<usize, FrameError> {
    let length = i32::from_be_bytes(prefix);
    match usize::try_from(length) {
        Ok(length) if length > limit => Err(FrameError::TooLarge { length, limit }),
        Ok(length) if length >= SMALLEST_REQUEST_BYTES => Ok(length),
        _ => Err(FrameError::TooShort { length }),
    }
}

/// The size of the response frame that follows this prefix, for clients.
pub fn response_length(prefix: [u8; LENGTH_BYTES], limit: usize) -> Result<usize, FrameError> {
    let length = i32::from_be_bytes(prefix);
    match usize::try_from(length) {
        Ok(length) if length > limit => Err(FrameError::TooLarge { length, limit }),
        Ok(length) if length >= size_of::<i32>() => Ok(length),
        _ => Err(FrameError::TooShort { length }),
    }
}

/// The largest frame that this API may take on an authenticated connection.
///
/// Only Produce carries records towards the broker. A connection that has read the first bytes of a large frame can
/// refuse it here before it buffers the rest.
pub fn frame_limit(api_key: ApiKey) -> usize {
    if api_key == ApiKey::Produce { MAX_FRAME_BYTES } else { MAX_RECORDLESS_FRAME_BYTES }
}

/// The API of a frame whose first two bytes have arrived.
pub fn peek_api_key(frame: &[u8]) -> Result<ApiKey, FrameError> {
    let key = Reader::new(frame).i16()?;
    ApiKey::try_from(key).map_err(|unknown| FrameError::UnknownApi { key: unknown.0 })
}

/// Splits a frame (without its length) into header and body.
///
/// The version is not judged here: ApiVersions answers versions that it does not know, everything else closes.
pub fn decode_request(frame: &[u8]) -> Result<Request<'_>, FrameError> {
    let api_key = peek_api_key(frame)?;
    let mut body = Reader::new(frame);
    let mut peek = Reader::new(frame);
    peek.i16()?;
    let version = peek.i16()?;
    let header = RequestHeader::decode(&mut body, api_key.request_header_version(version))?;
    let client_id = match header.client_id {
        Some(std::borrow::Cow::Borrowed(client_id)) => Some(client_id),
        _ => None,
    };
    Ok(Request { api_key, version, correlation_id: header.correlation_id, client_id, body })
}

/// Splits a response frame (without its length) into correlation id and body, for clients.
pub fn decode_response(api_key: ApiKey, version: i16, frame: &[u8]) -> Result<(i32, Reader<'_>), DecodeError> {
    let mut body = Reader::new(frame);
    let header = ResponseHeader::decode(&mut body, api_key.response_header_version(version))?;
    Ok((header.correlation_id, body))
}

/// A whole response frame, length first, in pieces to be written in order.
pub fn encode_response(
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<Vec<Bytes>, EncodeError> {
    let writer = encode_frame(|writer| {
        ResponseHeader { correlation_id }.encode(writer, api_key.response_header_version(version))?;
        encode(writer)
    })?;
    Ok(writer.finish())
}

/// Like [`encode_response`], for a response with [`Records::Deferred`](crate::records::Records::Deferred).
pub fn encode_response_with_gaps(
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<Vec<OutputPiece>, EncodeError> {
    let writer = encode_frame(|writer| {
        ResponseHeader { correlation_id }.encode(writer, api_key.response_header_version(version))?;
        encode(writer)
    })?;
    Ok(writer.finish_with_gaps())
}

/// A whole request frame, length first, in pieces to be written in order; for clients.
pub fn encode_request(
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<Vec<Bytes>, EncodeError> {
    let header = RequestHeader {
        request_api_key: api_key.key(),
        request_api_version: version,
        correlation_id,
        client_id: client_id.map(Into::into),
    };
    let writer = encode_frame(|writer| {
        header.encode(writer, api_key.request_header_version(version))?;
        encode(writer)
    })?;
    Ok(writer.finish())
}

fn encode_frame(encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>) -> Result<Writer, EncodeError> {
    let mut writer = Writer::with_capacity(INITIAL_CAPACITY);
    writer.i32(0);
    encode(&mut writer)?;
    let length = writer.len() - LENGTH_BYTES;
    let limit = i32::MAX as usize;
    let length = i32::try_from(length).map_err(|_| EncodeError::TooLong { length, limit })?;
    writer.patch_first_i32(length);
    Ok(writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::api_versions_request::ApiVersionsRequest;
    use crate::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
    use crate::records::Records;

    #[test]
    fn a_frame_length_outside_of_the_limits_is_refused() {
        assert_eq!(request_length(10i32.to_be_bytes(), 100), Ok(10));
        assert_eq!(request_length(100i32.to_be_bytes(), 100), Ok(100));
        assert_eq!(request_length(101i32.to_be_bytes(), 100), Err(FrameError::TooLarge { length: 101, limit: 100 }));
        for length in [i32::MIN, -1, 0, 9] {
            assert_eq!(request_length(length.to_be_bytes(), 100), Err(FrameError::TooShort { length }));
        }
    }

    #[test]
    fn a_request_frame_gives_back_what_was_put_in() {
        let request = ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() };
        for (version, client_id) in [(0, None), (3, Some("me")), (4, None)] {
            let message = if version < 3 { ApiVersionsRequest::default() } else { request.clone() };
            let pieces =
                encode_request(ApiKey::ApiVersions, version, 7, client_id, |writer| message.encode(writer, version));
            let frame = pieces.unwrap().concat();
            let (prefix, frame) = frame.split_first_chunk().unwrap();
            assert_eq!(request_length(*prefix, MAX_FRAME_BYTES), Ok(frame.len()));
            let mut decoded = decode_request(frame).unwrap();
            assert_eq!((decoded.api_key, decoded.version), (ApiKey::ApiVersions, version));
            assert_eq!((decoded.correlation_id, decoded.client_id), (7, client_id));
            assert_eq!(ApiVersionsRequest::decode(&mut decoded.body, version).unwrap(), message);
            assert!(decoded.body.is_empty());
        }
    }

    #[test]
    fn a_response_to_api_versions_always_has_the_oldest_header() {
        let pieces = encode_response(ApiKey::ApiVersions, 4, 9, |_| Ok(())).unwrap();
        assert_eq!(pieces.concat(), [0, 0, 0, 4, 0, 0, 0, 9]);
        let pieces = encode_response(ApiKey::Fetch, 12, 9, |_| Ok(())).unwrap();
        assert_eq!(pieces.concat(), [0, 0, 0, 5, 0, 0, 0, 9, 0]);
    }

    #[test]
    fn records_are_spliced_into_a_response_without_a_copy() {
        let batch = Bytes::from(vec![5; 4096]);
        let response = FetchResponse {
            responses: vec![FetchableTopicResponse {
                topic: "t".into(),
                partitions: vec![PartitionData {
                    records: Some(Records::Shared(vec![batch.clone(), Bytes::from_static(b"small")])),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let pieces = encode_response(ApiKey::Fetch, 12, 1, |writer| response.encode(writer, 12)).unwrap();
        assert_eq!(pieces.len(), 3, "head, batch, tail");
        assert_eq!(pieces[1].as_ptr(), batch.as_ptr());
        let frame = pieces.concat();
        let (prefix, frame) = frame.split_first_chunk().unwrap();
        assert_eq!(response_length(*prefix, MAX_FRAME_BYTES), Ok(frame.len()));
        let (correlation_id, mut body) = decode_response(ApiKey::Fetch, 12, frame).unwrap();
        assert_eq!(correlation_id, 1);
        assert_eq!(FetchResponse::decode(&mut body, 12).unwrap(), response);
    }

    #[test]
    fn an_unknown_api_and_a_cut_header_are_errors() {
        assert_eq!(
            decode_request(&[0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0]).err(),
            Some(FrameError::UnknownApi { key: 0x7f00 })
        );
        let frame = [0, 18, 0, 3, 0, 0, 0, 1, 0, 1, b'c', 0];
        for length in 0..frame.len() {
            assert!(decode_request(&frame[..length]).is_err(), "{length} bytes");
        }
        assert!(decode_request(&frame).is_ok());
    }
}
