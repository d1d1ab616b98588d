//! A connection to a Kafka server, as cheap for this machine as one can be: one buffer, one write and mostly one read per request. Waits
//! no longer than its limit, or never if told so; an answer is never larger than its bound.
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error::EncodeError;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::frame;
use millstream_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use millstream_protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use millstream_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use millstream_protocol::messages::sasl_handshake_response::SaslHandshakeResponse;
use millstream_protocol::reader::Reader;
use millstream_protocol::writer::Writer;

/// How long a server may leave a request unanswered.
pub const LIMIT: Duration = Duration::from_secs(60);
const LARGEST_RESPONSE_BYTES: usize = 128 << 20;
const FIRST_BUFFER_BYTES: usize = 16 << 10;
const CLIENT_ID: &str = "millstream-bench";
const HANDSHAKE_VERSION: i16 = 1;
const AUTHENTICATE_VERSION: i16 = 2;
/// Where the correlation id is in a request frame: behind length, API key and version.
const CORRELATION_ID_AT: std::ops::Range<usize> = 8..12;

/// Where a server listens, and the API key if it asks for one.
#[derive(Clone)]
pub struct Endpoint {
    pub address: String,
    pub credentials: Option<Credentials>,
}

/// No `Debug`: it holds a secret.
#[derive(Clone)]
pub struct Credentials {
    pub key: String,
    pub secret: String,
}

/// One authenticated connection.
pub struct Connection {
    stream: TcpStream,
    next_correlation_id: i32,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that have been read; those before `consumed` were returned already.
    filled: usize,
    consumed: usize,
}

impl Connection {
    /// Connects and logs in.
    pub fn open(endpoint: &Endpoint) -> Result<Self> {
        match Self::try_log_in(endpoint)? {
            Some(connection) => Ok(connection),
            None => bail!("the server refused the API key"),
        }
    }

    /// Connects and logs in; none if the server refuses the credentials.
    pub fn try_log_in(endpoint: &Endpoint) -> Result<Option<Self>> {
        let stream = TcpStream::connect(&endpoint.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let buffer = vec![0; FIRST_BUFFER_BYTES];
        let mut connection = Self { stream, next_correlation_id: 0, buffer, filled: 0, consumed: 0 };
        let Some(credentials) = &endpoint.credentials else { return Ok(Some(connection)) };
        connection.choose_plain()?;
        Ok(connection.authenticate(credentials)?.then_some(connection))
    }

    fn choose_plain(&mut self) -> Result<()> {
        let request = SaslHandshakeRequest { mechanism: "PLAIN".into() };
        let encode = |writer: &mut Writer| request.encode(writer, HANDSHAKE_VERSION);
        self.call(ApiKey::SaslHandshake, HANDSHAKE_VERSION, encode, |reader| {
            check(SaslHandshakeResponse::decode(reader, HANDSHAKE_VERSION)?.error_code)
        })
    }

    fn authenticate(&mut self, credentials: &Credentials) -> Result<bool> {
        let message = format!("\0{}\0{}", credentials.key, credentials.secret);
        let request = SaslAuthenticateRequest { auth_bytes: message.as_bytes().into() };
        let encode = |writer: &mut Writer| request.encode(writer, AUTHENTICATE_VERSION);
        self.call(ApiKey::SaslAuthenticate, AUTHENTICATE_VERSION, encode, |reader| {
            let code = SaslAuthenticateResponse::decode(reader, AUTHENTICATE_VERSION)?.error_code;
            if code == ErrorCode::SaslAuthenticationFailed.code() {
                return Ok(false);
            }
            check(code).map(|()| true)
        })
    }

    /// One request and its answer.
    pub fn call<T>(
        &mut self,
        api_key: ApiKey,
        version: i16,
        encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
        decode: impl FnOnce(&mut Reader<'_>) -> Result<T>,
    ) -> Result<T> {
        let correlation_id = self.send(api_key, version, encode)?;
        self.receive(api_key, version, correlation_id, decode)
    }

    /// Sends a request; returns its correlation id.
    pub fn send(
        &mut self,
        api_key: ApiKey,
        version: i16,
        encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) -> Result<i32> {
        let mut frame = encode_frame(api_key, version, encode)?;
        self.send_frame(&mut frame)
    }

    /// Sends a frame made by `encode_frame` with a correlation id of its own.
    pub fn send_frame(&mut self, frame: &mut [u8]) -> Result<i32> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        frame[CORRELATION_ID_AT].copy_from_slice(&correlation_id.to_be_bytes());
        self.stream.write_all(frame)?;
        Ok(correlation_id)
    }

    /// Reads the next answer, which must be the one to `correlation_id`.
    pub fn receive<T>(
        &mut self,
        api_key: ApiKey,
        version: i16,
        correlation_id: i32,
        decode: impl FnOnce(&mut Reader<'_>) -> Result<T>,
    ) -> Result<T> {
        // A connection that waits has nothing to read only when the limit is over.
        let answer = self.try_receive(api_key, version, correlation_id, decode)?;
        answer.with_context(|| format!("the server has not answered for {} s", LIMIT.as_secs()))
    }

    /// As `receive`; none, once `stop_waiting` was called, as long as the answer is not there as a whole.
    pub fn try_receive<T>(
        &mut self,
        api_key: ApiKey,
        version: i16,
        correlation_id: i32,
        decode: impl FnOnce(&mut Reader<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let Some(frame) = self.next_frame()? else { return Ok(None) };
        let (answered, mut body) = frame::decode_response(api_key, version, frame)?;
        ensure!(answered == correlation_id, "answer {answered} came where {correlation_id} was due");
        decode(&mut body).map(Some)
    }

    /// From now on nothing blocks: the caller polls. Sending then fails if the frame does not fit into the socket's buffer, so it is
    /// for small frames and few of them in flight.
    pub fn stop_waiting(&self) -> Result<()> {
        Ok(self.stream.set_nonblocking(true)?)
    }

    /// Waits until the server closes the connection; fails if it sends something or keeps silent for too long.
    pub fn wait_until_closed(mut self) -> Result<()> {
        match self.stream.read(&mut self.buffer) {
            Ok(0) => Ok(()),
            Ok(_) => bail!("the server sent an answer that nobody asked for"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A second handle, so that one thread can send while another receives. Only one of both may receive.
    pub fn sending_half(&self) -> Result<Self> {
        let stream = self.stream.try_clone()?;
        Ok(Self { stream, next_correlation_id: self.next_correlation_id, buffer: Vec::new(), filled: 0, consumed: 0 })
    }

    /// None if there is no whole frame and no more to read.
    fn next_frame(&mut self) -> Result<Option<&[u8]>> {
        self.buffer.copy_within(self.consumed..self.filled, 0);
        self.filled -= self.consumed;
        self.consumed = 0;
        loop {
            if let Some(prefix) = self.buffer[..self.filled].first_chunk() {
                let end = frame::LENGTH_BYTES + frame::response_length(*prefix, LARGEST_RESPONSE_BYTES)?;
                if end <= self.filled {
                    self.consumed = end;
                    return Ok(Some(&self.buffer[frame::LENGTH_BYTES..end]));
                }
                if end > self.buffer.len() {
                    self.buffer.resize(end, 0);
                }
            }
            let count = match self.stream.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                read => read?,
            };
            ensure!(count > 0, "the server closed the connection");
            self.filled += count;
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// A whole request frame in one piece.
pub fn encode_frame(
    api_key: ApiKey,
    version: i16,
    encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<Vec<u8>> {
    Ok(frame::encode_request(api_key, version, 0, Some(CLIENT_ID), encode)?.concat())
}

/// An error code of an answer as an error.
pub fn check(error_code: i16) -> Result<()> {
    ensure!(
        error_code == ErrorCode::None.code(),
        "the server answered with error {error_code} ({:?})",
        ErrorCode::from_code(error_code)
    );
    Ok(())
}
