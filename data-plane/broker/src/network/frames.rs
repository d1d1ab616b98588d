//! Reads length-prefixed frames from a socket into one reused buffer.
//!
//! Promises: a frame larger than the limit is refused before a byte of it is stored; the buffer never holds
//! more than the frame being read plus what arrived with it; an idle connection holds a small buffer.
//! Never looks inside a frame.

use std::io;

use bytes::{Buf, BytesMut};
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::frame::{self, MAX_RECORDLESS_FRAME_BYTES};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room for a read when no frame is known yet.
const READ_BYTES: usize = 16 * 1024;
/// What an idle connection keeps.
const IDLE_BYTES: usize = 4 * 1024;
/// The length prefix of a frame.
const PREFIX_BYTES: usize = 4;
/// How much of an announced frame is reserved before any of it arrived: a peer that only announces gets no more.
const FIRST_RESERVATION_BYTES: usize = 256 * 1024;

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The announced length is negative or above the limit.
    #[error("frame of {announced} bytes; at most {limit} are accepted here")]
    BadLength {
        /// The length in the prefix.
        announced: i32,
        /// The limit that applied.
        limit: usize,
    },
    /// The peer closed the connection in the middle of a frame.
    #[error("connection closed inside a frame")]
    Truncated,
    /// The socket failed.
    #[error("cannot read from the socket")]
    Io(#[source] io::Error),
}

/// The receive buffer of one connection.
pub(crate) struct FrameBuffer {
    bytes: BytesMut,
    frame_bytes: usize,
}

impl FrameBuffer {
    pub(crate) fn new() -> Self {
        Self { bytes: BytesMut::new(), frame_bytes: 0 }
    }

    /// The frame that the last `fill` completed, without its prefix.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.bytes[PREFIX_BYTES..PREFIX_BYTES + self.frame_bytes]
    }

    /// Drops the current frame.
    pub(crate) fn consume(&mut self) {
        self.bytes.advance(PREFIX_BYTES + self.frame_bytes);
        self.frame_bytes = 0;
    }

    /// The frame that already arrived behind the current one, if it is complete.
    pub(crate) fn complete_next(&self, limit: usize) -> Option<&[u8]> {
        let prefix = self.bytes.first_chunk::<PREFIX_BYTES>()?;
        let length = usize::try_from(i32::from_be_bytes(*prefix)).ok().filter(|length| *length <= limit)?;
        self.bytes.get(PREFIX_BYTES..PREFIX_BYTES + length)
    }

    /// The size of the frame that is arriving; 0 if that is not known yet.
    pub(crate) fn announced(&self) -> usize {
        let prefix = self.bytes.first_chunk::<PREFIX_BYTES>();
        prefix.and_then(|prefix| usize::try_from(i32::from_be_bytes(*prefix)).ok()).unwrap_or(0)
    }

    /// Takes a complete frame out of what already arrived.
    pub(crate) fn take_complete(&mut self, limit: usize) -> Result<bool, FrameError> {
        let Some(prefix) = self.bytes.first_chunk::<PREFIX_BYTES>() else {
            return Ok(false);
        };
        let announced = i32::from_be_bytes(*prefix);
        let length = usize::try_from(announced).ok().filter(|length| *length <= limit);
        let Some(length) = length else {
            return Err(FrameError::BadLength { announced, limit });
        };
        // Only Produce needs large frames; whatever else announces one is refused before it is buffered.
        if length > MAX_RECORDLESS_FRAME_BYTES
            && let Some(key) = self.bytes.get(PREFIX_BYTES..PREFIX_BYTES + 2)
            && frame::peek_api_key(key).ok() != Some(ApiKey::Produce)
        {
            return Err(FrameError::BadLength { announced, limit: MAX_RECORDLESS_FRAME_BYTES });
        }
        let missing = (PREFIX_BYTES + length).saturating_sub(self.bytes.len());
        if missing > 0 {
            self.bytes.reserve(missing.min(FIRST_RESERVATION_BYTES.max(self.bytes.len())));
            return Ok(false);
        }
        self.frame_bytes = length;
        Ok(true)
    }

    /// Reads once. `Ok(false)` means that the peer closed the connection between two frames.
    pub(crate) async fn fill<S: AsyncRead + Unpin>(&mut self, socket: &mut S) -> Result<bool, FrameError> {
        if self.bytes.capacity() == self.bytes.len() {
            self.bytes.reserve(READ_BYTES);
        }
        let read = socket.read_buf(&mut self.bytes).await.map_err(FrameError::Io)?;
        if read > 0 {
            return Ok(true);
        }
        if self.bytes.is_empty() {
            return Ok(false);
        }
        Err(FrameError::Truncated)
    }

    /// Gives memory back when nothing is buffered.
    pub(crate) fn shrink(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::with_capacity(IDLE_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(input: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut socket = input;
        let mut buffer = FrameBuffer::new();
        let mut frames = Vec::new();
        loop {
            while buffer.take_complete(limit)? {
                frames.push(buffer.frame().to_vec());
                buffer.consume();
            }
            if !buffer.fill(&mut socket).await? {
                return Ok(frames);
            }
        }
    }

    #[tokio::test]
    async fn frames_come_out_in_order_and_whole() {
        let frames = read_all(b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01z", 100).await.unwrap();
        assert_eq!(frames, [b"abc".to_vec(), Vec::new(), b"z".to_vec()]);
    }

    #[tokio::test]
    async fn a_negative_or_too_large_length_is_refused() {
        for prefix in [[0xff, 0xff, 0xff, 0xff], [0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 101]] {
            assert!(matches!(read_all(&prefix, 100).await, Err(FrameError::BadLength { .. })), "{prefix:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_closes_inside_a_frame_is_told_apart_from_one_that_ends() {
        assert!(matches!(read_all(b"\0\0\0\x03ab", 100).await, Err(FrameError::Truncated)));
        assert!(matches!(read_all(b"\0\0", 100).await, Err(FrameError::Truncated)));
        assert!(read_all(b"", 100).await.unwrap().is_empty());
    }

    #[test]
    fn an_announced_frame_reserves_little_until_it_arrives() {
        let mut buffer = FrameBuffer::new();
        buffer.bytes.extend_from_slice(&(90_000_000i32).to_be_bytes());
        assert!(!buffer.take_complete(100_000_000).unwrap());
        assert!(buffer.bytes.capacity() <= 2 * FIRST_RESERVATION_BYTES);
    }
}
