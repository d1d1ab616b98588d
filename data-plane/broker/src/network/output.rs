//! Writes responses to a socket: small pieces are gathered, log slices stream through a small buffer.
//!
//! Promises: bytes leave in the order in which they were queued; a log slice never occupies more memory than
//! `CHUNK_BYTES`, however large the response is. Never waits for anything but the socket and the disk.

use std::io;

use bytes::Bytes;
use millstream_log::Slice;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The most that is gathered before it is written; also the size of the reads from the log. It fits the second
/// level cache, so that what the page cache gave is still warm when the socket takes it.
const CHUNK_BYTES: usize = 256 * 1024;
/// Gathered answers to pipelined requests leave at this size at the latest.
const CORK_BYTES: usize = 32 * 1024;
/// What an idle connection keeps.
const IDLE_BYTES: usize = 4 * 1024;

/// One part of a response.
pub(crate) enum Piece {
    /// Encoded bytes.
    Bytes(Bytes),
    /// Record batches that are still in the log.
    Log(Slice),
}

/// The send buffer of one connection.
pub(crate) struct Output {
    /// Always initialized to its full length; the first `filled` bytes wait to be written.
    buffer: Vec<u8>,
    filled: usize,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; IDLE_BYTES], filled: 0 }
    }

    /// Whether the gathered bytes should leave even though another request is already there.
    pub(crate) fn is_corked_full(&self) -> bool {
        self.filled >= CORK_BYTES
    }

    /// Queues one response, writing to the socket whenever a chunk is full.
    pub(crate) async fn push<S: AsyncWrite + Unpin>(&mut self, socket: &mut S, pieces: Vec<Piece>) -> io::Result<()> {
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => self.push_bytes(socket, &bytes).await?,
                Piece::Log(slice) => self.push_slice(socket, slice).await?,
            }
        }
        Ok(())
    }

    async fn push_bytes<S: AsyncWrite + Unpin>(&mut self, socket: &mut S, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > CHUNK_BYTES - self.filled {
            self.flush(socket).await?;
        }
        if bytes.len() > CHUNK_BYTES {
            return socket.write_all(bytes).await;
        }
        self.grow(bytes.len());
        self.buffer[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
        Ok(())
    }

    async fn push_slice<S: AsyncWrite + Unpin>(&mut self, socket: &mut S, slice: Slice) -> io::Result<()> {
        let mut done = 0;
        while done < slice.len() {
            if self.filled == CHUNK_BYTES {
                self.flush(socket).await?;
            }
            let wanted = (slice.len() - done).min(CHUNK_BYTES - self.filled);
            self.grow(wanted);
            let target = &mut self.buffer[self.filled..self.filled + wanted];
            // Page cache hits are read in place. What is not in memory is read on a thread that may wait for
            // the disk, so that a consumer of old records never holds up the other connections of this worker.
            if !slice.read_cached(done, target)? {
                let slice = slice.clone();
                let read = tokio::task::spawn_blocking(move || {
                    let mut bytes = vec![0; wanted];
                    slice.read_exact_at(done, &mut bytes).map(|()| bytes)
                });
                let bytes = read.await.map_err(io::Error::other)??;
                self.buffer[self.filled..self.filled + wanted].copy_from_slice(&bytes);
            }
            self.filled += wanted;
            done += wanted;
        }
        Ok(())
    }

    /// Writes everything that was gathered.
    pub(crate) async fn flush<S: AsyncWrite + Unpin>(&mut self, socket: &mut S) -> io::Result<()> {
        let filled = std::mem::take(&mut self.filled);
        socket.write_all(&self.buffer[..filled]).await?;
        socket.flush().await
    }

    /// Gives memory back when nothing is gathered.
    pub(crate) fn shrink(&mut self) {
        if self.filled == 0 && self.buffer.len() > IDLE_BYTES {
            self.buffer = vec![0; IDLE_BYTES];
        }
    }

    fn grow(&mut self, more: usize) {
        let needed = self.filled + more;
        if needed > self.buffer.len() {
            self.buffer.resize(needed.next_power_of_two().min(CHUNK_BYTES).max(needed), 0);
        }
    }
}
