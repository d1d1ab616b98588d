//! One authenticated connection to one broker: a request goes out, its answer comes back.
//!
//! Promises that an answer is matched with its request, is of bounded size, and comes within the time limit.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error::{DecodeError, EncodeError};
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::api_versions_request::ApiVersionsRequest;
use millstream_protocol::messages::api_versions_response::ApiVersionsResponse;
use millstream_protocol::messages::request_header::RequestHeader;
use millstream_protocol::messages::response_header::ResponseHeader;
use millstream_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use millstream_protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use millstream_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use millstream_protocol::messages::sasl_handshake_response::SaslHandshakeResponse;
use millstream_protocol::reader::Reader;
use millstream_protocol::writer::Writer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::error::ClientError;
use super::transport::{Transport, Trust};
use crate::rest_client::KeyPair;

/// What brokers see in their logs.
const CLIENT_ID: &str = "millstream-cli";
/// The largest answer that is read; a fetch asks for far less, but one record batch may be large.
const MAX_ANSWER_BYTES: i32 = 256 * 1024 * 1024;
/// How long an answer may take, beyond what the request itself allows the broker to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// ApiVersions of Kafka 2.4 and later, the first with the client's name in it.
const API_VERSIONS_VERSION: i16 = 3;
const SASL_HANDSHAKE_VERSION: i16 = 1;
const SASL_AUTHENTICATE_VERSION: i16 = 1;

/// One API as this client uses it: which versions it can write and how.
pub struct Call<'a> {
    pub api: ApiKey,
    /// Versions of the API that the caller's request and answer handling are right for.
    pub versions: std::ops::RangeInclusive<i16>,
    /// How long the broker is asked to wait before it answers.
    pub broker_wait: Duration,
    pub encode: &'a (dyn Fn(&mut Writer, i16) -> Result<(), EncodeError> + Sync),
}

/// The body of an answer.
pub struct Answer {
    address: String,
    version: i16,
    body: Bytes,
}

impl Answer {
    /// Decodes the body with a generated `decode`.
    pub fn decode<'a, T>(
        &'a self,
        decode: impl FnOnce(&mut Reader<'a>, i16) -> Result<T, DecodeError>,
    ) -> Result<T, ClientError> {
        let mut reader = Reader::new(&self.body);
        decode(&mut reader, self.version)
            .map_err(|source| ClientError::Malformed { address: self.address.clone(), source })
    }
}

/// An open connection. Has no `Debug`, like everything that was near a secret.
pub struct Connection {
    address: String,
    transport: Transport,
    /// What the broker serves: API key to lowest and highest version.
    served: HashMap<i16, (i16, i16)>,
    next_correlation_id: i32,
}

impl Connection {
    /// Connects, asks what the broker serves, and authenticates with SASL PLAIN.
    pub async fn open(address: &str, trust: &Trust, credentials: &KeyPair) -> Result<Self, ClientError> {
        let transport = Transport::connect(address, trust).await?;
        let mut connection =
            Self { address: address.to_string(), transport, served: HashMap::new(), next_correlation_id: 0 };
        connection.negotiate_versions().await?;
        connection.authenticate(credentials).await?;
        Ok(connection)
    }

    /// Sends a request in the newest version that both sides know, and waits for its answer.
    pub async fn call(&mut self, call: Call<'_>) -> Result<Answer, ClientError> {
        let version = self.common_version(&call)?;
        self.exchange(call.api, version, call.broker_wait, call.encode).await
    }

    fn common_version(&self, call: &Call<'_>) -> Result<i16, ClientError> {
        let no_common_version = || ClientError::NoCommonVersion { address: self.address.clone(), api: call.api.name() };
        let (lowest, highest) = *self.served.get(&call.api.key()).ok_or_else(no_common_version)?;
        let version = highest.min(*call.versions.end());
        let common = version >= lowest && version >= *call.versions.start();
        common.then_some(version).ok_or_else(no_common_version)
    }

    async fn negotiate_versions(&mut self) -> Result<(), ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: CLIENT_ID.into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let encode = |writer: &mut Writer, version: i16| request.encode(writer, version);
        let answer = self.exchange(ApiKey::ApiVersions, API_VERSIONS_VERSION, Duration::ZERO, &encode).await?;
        let response = answer.decode(ApiVersionsResponse::decode)?;
        check("cannot learn what the broker serves", response.error_code)?;
        self.served = response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        Ok(())
    }

    async fn authenticate(&mut self, credentials: &KeyPair) -> Result<(), ClientError> {
        let handshake = SaslHandshakeRequest { mechanism: "PLAIN".into() };
        let encode = |writer: &mut Writer, version: i16| handshake.encode(writer, version);
        let answer = self.exchange(ApiKey::SaslHandshake, SASL_HANDSHAKE_VERSION, Duration::ZERO, &encode).await?;
        let response = answer.decode(SaslHandshakeResponse::decode)?;
        check("cannot log in with SASL PLAIN", response.error_code)?;

        let token = format!("\0{}\0{}", credentials.key, credentials.secret);
        let request = SaslAuthenticateRequest { auth_bytes: token.as_bytes().into() };
        let encode = |writer: &mut Writer, version: i16| request.encode(writer, version);
        let answer =
            self.exchange(ApiKey::SaslAuthenticate, SASL_AUTHENTICATE_VERSION, Duration::ZERO, &encode).await?;
        let response = answer.decode(SaslAuthenticateResponse::decode)?;
        if response.error_code == ErrorCode::SaslAuthenticationFailed.code() {
            return Err(ClientError::Authentication);
        }
        check("cannot log in", response.error_code)
    }

    async fn exchange(
        &mut self,
        api: ApiKey,
        version: i16,
        broker_wait: Duration,
        encode: &(dyn Fn(&mut Writer, i16) -> Result<(), EncodeError> + Sync),
    ) -> Result<Answer, ClientError> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        let frame = request_frame(api, version, correlation_id, encode)?;
        let limit = ANSWER_TIMEOUT + broker_wait;
        let body = match tokio::time::timeout(limit, self.send_and_receive(&frame)).await {
            Ok(received) => received?,
            Err(_) => return Err(ClientError::Timeout { address: self.address.clone(), limit }),
        };
        let mut reader = Reader::new(&body);
        let header = ResponseHeader::decode(&mut reader, api.response_header_version(version))
            .map_err(|source| ClientError::Malformed { address: self.address.clone(), source })?;
        if header.correlation_id != correlation_id {
            return Err(ClientError::Correlation { address: self.address.clone() });
        }
        let body = body.slice(body.len() - reader.remaining()..);
        Ok(Answer { address: self.address.clone(), version, body })
    }

    async fn send_and_receive(&mut self, frame: &[Bytes]) -> Result<Bytes, ClientError> {
        let lost = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => ClientError::Closed { address: self.address.clone() },
            _ => ClientError::Lost { address: self.address.clone(), source },
        };
        for piece in frame {
            self.transport.write_all(piece).await.map_err(lost)?;
        }
        self.transport.flush().await.map_err(lost)?;
        let length = self.transport.read_i32().await.map_err(lost)?;
        if !(0..=MAX_ANSWER_BYTES).contains(&length) {
            return Err(ClientError::FrameSize { address: self.address.clone(), length });
        }
        let length = usize::try_from(length).unwrap_or_default();
        // Memory follows what really arrives, not what the length claims.
        let mut body = BytesMut::new();
        let mut rest = (&mut self.transport).take(length as u64);
        while body.len() < length {
            let read = rest.read_buf(&mut body).await.map_err(lost)?;
            if read == 0 {
                return Err(ClientError::Closed { address: self.address.clone() });
            }
        }
        Ok(body.freeze())
    }
}

/// Turns an error code of an answer into an error.
pub fn check(what: &str, code: i16) -> Result<(), ClientError> {
    if code == ErrorCode::None.code() {
        return Ok(());
    }
    Err(ClientError::Refused { what: what.to_string(), code })
}

fn request_frame(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    encode: &(dyn Fn(&mut Writer, i16) -> Result<(), EncodeError> + Sync),
) -> Result<Vec<Bytes>, EncodeError> {
    let mut writer = Writer::new();
    let header = RequestHeader {
        request_api_key: api.key(),
        request_api_version: version,
        correlation_id,
        client_id: Some(CLIENT_ID.into()),
    };
    header.encode(&mut writer, api.request_header_version(version))?;
    encode(&mut writer, version)?;
    let length = i32::try_from(writer.len())
        .map_err(|_| EncodeError::TooLong { length: writer.len(), limit: i32::MAX as usize })?;
    let mut pieces = vec![Bytes::copy_from_slice(&length.to_be_bytes())];
    pieces.extend(writer.finish());
    Ok(pieces)
}
