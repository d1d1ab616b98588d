//! A raw connection to a Kafka server, for sending what no client library would send.
//!
//! Written apart from the codecs of the product, so that both cannot be wrong in the same way. Speaks only versions without tagged
//! fields. Never waits longer than its limit.
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};

use crate::server::Access;

pub const PRODUCE: i16 = 0;
pub const FETCH: i16 = 1;
pub const METADATA: i16 = 3;
pub const SASL_HANDSHAKE: i16 = 17;
pub const API_VERSIONS: i16 = 18;
pub const CREATE_TOPICS: i16 = 19;
pub const SASL_AUTHENTICATE: i16 = 36;

pub const SASL_AUTHENTICATION_FAILED: i16 = 58;

const LIMIT: Duration = Duration::from_secs(20);
const LARGEST_RESPONSE: usize = 64 << 20;

/// One TCP connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    next_correlation: i32,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Frame(Vec<u8>),
    Closed,
}

impl Wire {
    pub fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, next_correlation: 1 })
    }

    /// Connects and logs in with the API key.
    pub fn log_in(access: &Access) -> Result<Self> {
        Self::try_log_in(access)?.ok_or_else(|| anyhow!("the key was refused"))
    }

    /// Connects and logs in; none if the server refuses the key.
    pub fn try_log_in(access: &Access) -> Result<Option<Self>> {
        let mut wire = Self::connect(&access.bootstrap_servers)?;
        let mut body = Vec::new();
        put_string(&mut body, "PLAIN");
        let answer = wire.call(SASL_HANDSHAKE, 1, &body)?;
        ensure!(Fields::new(&answer).i16()? == 0, "the handshake was refused");
        let answer = wire.call(SASL_AUTHENTICATE, 0, &plain(&access.api_key, &access.api_secret))?;
        match Fields::new(&answer).i16()? {
            0 => Ok(Some(wire)),
            SASL_AUTHENTICATION_FAILED => Ok(None),
            code => bail!("the login was answered with error {code}"),
        }
    }

    /// Sends bytes as they are. An error means that the server has closed the connection.
    pub fn send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// A request with a header of version 1, its length first.
    pub fn frame(api_key: i16, version: i16, correlation: i32, body: &[u8]) -> Vec<u8> {
        let mut request = Vec::with_capacity(body.len() + 32);
        request.extend(api_key.to_be_bytes());
        request.extend(version.to_be_bytes());
        request.extend(correlation.to_be_bytes());
        put_string(&mut request, "hostile");
        request.extend(body);
        let mut frame = Vec::with_capacity(request.len() + 4);
        put_bytes(&mut frame, &request);
        frame
    }

    /// Sends a request with a header of version 1; returns its correlation id.
    pub fn send(&mut self, api_key: i16, version: i16, body: &[u8]) -> std::io::Result<i32> {
        let correlation = self.next_correlation;
        self.next_correlation += 1;
        self.stream.write_all(&Self::frame(api_key, version, correlation, body))?;
        Ok(correlation)
    }

    /// The next frame, or the news that the server has closed the connection; silence beyond the limit is an error.
    pub fn receive(&mut self) -> Result<Reply> {
        let mut size = [0; 4];
        if !self.read_or_closed(&mut size)? {
            return Ok(Reply::Closed);
        }
        let size = usize::try_from(i32::from_be_bytes(size))?;
        ensure!(size <= LARGEST_RESPONSE, "a response of {size} bytes");
        let mut frame = vec![0; size];
        if !self.read_or_closed(&mut frame)? {
            return Ok(Reply::Closed);
        }
        Ok(Reply::Frame(frame))
    }

    /// A request and the body of its answer, behind the correlation id.
    pub fn call(&mut self, api_key: i16, version: i16, body: &[u8]) -> Result<Vec<u8>> {
        let correlation = self.send(api_key, version, body)?;
        match self.receive()? {
            Reply::Closed => bail!("the server closed the connection"),
            Reply::Frame(frame) => {
                let (id, body) =
                    frame.split_first_chunk().ok_or_else(|| anyhow!("an answer of {} bytes", frame.len()))?;
                ensure!(i32::from_be_bytes(*id) == correlation, "an answer to another request");
                Ok(body.to_vec())
            }
        }
    }

    /// True if the server closes the connection, possibly after an answer.
    pub fn is_closed_by_the_server(&mut self) -> Result<bool> {
        for _ in 0..3 {
            if self.receive()? == Reply::Closed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A second handle on the same connection, for reading while another thread writes.
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, next_correlation: self.next_correlation })
    }

    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn read_or_closed(&mut self, buffer: &mut [u8]) -> Result<bool> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => bail!("no answer within {} s", LIMIT.as_secs()),
                _ => Ok(false),
            },
        }
    }
}

/// Reads the fields of an answer one after another.
#[derive(Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| anyhow!("the answer is too short"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into()?))
    }

    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.take(8)?.try_into()?))
    }

    pub fn string(&mut self) -> Result<String> {
        let length = usize::try_from(self.i16()?)?;
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }
}

pub fn put_string(body: &mut Vec<u8>, text: &str) {
    body.extend(i16::try_from(text.len()).unwrap_or(i16::MAX).to_be_bytes());
    body.extend(text.as_bytes());
}

pub fn put_bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
    body.extend(bytes);
}

/// The body of SaslAuthenticate version 0 with a PLAIN message.
pub fn plain(user: &str, password: &str) -> Vec<u8> {
    let mut body = Vec::new();
    put_bytes(&mut body, format!("\0{user}\0{password}").as_bytes());
    body
}

/// The body of CreateTopics version 2 for one topic with one partition.
pub fn create_topic(topic: &str) -> Vec<u8> {
    let mut body = 1_i32.to_be_bytes().to_vec();
    put_string(&mut body, topic);
    body.extend(1_i32.to_be_bytes()); // Partitions.
    body.extend((-1_i16).to_be_bytes()); // Replication factor: the server's default.
    body.extend(0_i32.to_be_bytes()); // No assignments.
    body.extend(0_i32.to_be_bytes()); // No configs.
    body.extend(30_000_i32.to_be_bytes()); // Time-out.
    body.push(0); // Not only validated.
    body
}

/// The body of Produce version 7 for one partition.
pub fn produce(topic: &str, partition: i32, acks: i16, records: &[u8]) -> Vec<u8> {
    let mut body = (-1_i16).to_be_bytes().to_vec(); // No transactional id.
    body.extend(acks.to_be_bytes());
    body.extend(10_000_i32.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    put_string(&mut body, topic);
    body.extend(1_i32.to_be_bytes());
    body.extend(partition.to_be_bytes());
    put_bytes(&mut body, records);
    body
}

/// The error code and base offset in an answer to `produce`.
pub fn produce_result(answer: &[u8]) -> Result<(i16, i64)> {
    let mut fields = Fields::new(answer);
    ensure!(fields.i32()? == 1, "one topic");
    fields.string()?;
    ensure!(fields.i32()? == 1, "one partition");
    fields.i32()?;
    Ok((fields.i16()?, fields.i64()?))
}

/// A record batch whose every field may be wrong.
#[derive(Debug, Clone)]
pub struct Batch {
    pub magic: i8,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub record_count: i32,
    pub records: Vec<u8>,
    /// Added to the length and to the checksum that would be right.
    pub length_error: i32,
    pub checksum_error: u32,
}

impl Batch {
    /// One record without key, as a client would send it.
    pub fn of_one_record(value: &[u8]) -> Self {
        let mut record = vec![0, 0, 0]; // Attributes, timestamp delta, offset delta.
        put_varint(&mut record, -1); // No key.
        put_varint(&mut record, i64::try_from(value.len()).unwrap_or(i64::MAX));
        record.extend(value);
        put_varint(&mut record, 0); // No headers.
        let mut records = Vec::new();
        put_varint(&mut records, i64::try_from(record.len()).unwrap_or(i64::MAX));
        records.extend(record);
        Self {
            magic: 2,
            attributes: 0,
            last_offset_delta: 0,
            record_count: 1,
            records,
            length_error: 0,
            checksum_error: 0,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let now_ms =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis());
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let mut checked = self.attributes.to_be_bytes().to_vec();
        checked.extend(self.last_offset_delta.to_be_bytes());
        checked.extend(now_ms.to_be_bytes());
        checked.extend(now_ms.to_be_bytes());
        checked.extend((-1_i64).to_be_bytes()); // No producer id.
        checked.extend((-1_i16).to_be_bytes());
        checked.extend((-1_i32).to_be_bytes());
        checked.extend(self.record_count.to_be_bytes());
        checked.extend(&self.records);
        let length = i32::try_from(checked.len() + 9).unwrap_or(i32::MAX).wrapping_add(self.length_error);
        let mut batch = 0_i64.to_be_bytes().to_vec(); // Base offset.
        batch.extend(length.to_be_bytes());
        batch.extend((-1_i32).to_be_bytes()); // Leader epoch.
        batch.extend(self.magic.to_be_bytes());
        batch.extend(crc32c(&checked).wrapping_add(self.checksum_error).to_be_bytes());
        batch.extend(checked);
        batch
    }
}

fn put_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        bytes.push((zigzag & 0x7f) as u8 | 0x80);
        zigzag >>= 7;
    }
    bytes.push(zigzag as u8);
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_castagnoli_one() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn varints_are_zigzag() {
        let encode = |value| {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            bytes
        };
        assert_eq!(encode(-1), [1]);
        assert_eq!(encode(1), [2]);
        assert_eq!(encode(300), [0xd8, 0x04]);
    }
}
