//! Walks the batch headers of a segment, reading through a small buffer that the caller lends.
//! Never allocates by a length found in the file, and never reads records unless asked to check or return them.

use std::{fs::File, io, os::unix::fs::FileExt};

use millstream_protocol::record_batch::{BATCH_HEADER_BYTES, BatchHeader, CHECKSUMMED_FROM, parse_header};

/// The buffer for checking every byte of a segment.
pub(crate) const LARGE_BUFFER_BYTES: usize = 256 * 1024;
/// The buffer for hopping from header to header: larger would read records for nothing.
pub(crate) const HEADER_BUFFER_BYTES: usize = 16 * 1024;
/// The buffer for the few headers between an index entry and the wanted batch; fits on the stack.
pub(crate) const SMALL_BUFFER_BYTES: usize = 4096;

pub(crate) struct BatchScanner<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    buffer: &'a mut [u8],
    /// Which part of the file is in the buffer.
    buffered_from: u64,
    buffered_bytes: usize,
}

/// What is at the scanner's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Batch(BatchHeader),
    /// The end of the range, reached exactly.
    End,
    /// Not a whole batch.
    Damaged(&'static str),
}

impl<'a> BatchScanner<'a> {
    /// Walks from `position`, where a batch must begin, to `end`. The buffer must hold a batch header.
    pub(crate) fn new(file: &'a File, position: u64, end: u64, buffer: &'a mut [u8]) -> Self {
        debug_assert!(buffer.len() >= BATCH_HEADER_BYTES);
        Self { file, position, end, buffer, buffered_from: 0, buffered_bytes: 0 }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The header at the position. Stays there.
    pub(crate) fn header(&mut self) -> io::Result<Found> {
        let left = self.end.saturating_sub(self.position);
        if left == 0 {
            return Ok(Found::End);
        }
        if left < BATCH_HEADER_BYTES as u64 {
            return Ok(Found::Damaged("the end of the segment cuts a batch header"));
        }
        let bytes = self.bytes_at(self.position, BATCH_HEADER_BYTES)?;
        let Ok(header) = parse_header(bytes) else {
            return Ok(Found::Damaged("there is no batch header"));
        };
        if header.size_bytes() as u64 > left {
            return Ok(Found::Damaged("the end of the segment cuts a batch"));
        }
        if header.last_offset_delta < 0
            || header.base_offset < 0
            || header.base_offset.checked_add(i64::from(header.last_offset_delta) + 1).is_none()
        {
            return Ok(Found::Damaged("the offsets of the batch are impossible"));
        }
        Ok(Found::Batch(header))
    }

    /// Moves behind the batch with this header.
    pub(crate) fn skip(&mut self, header: &BatchHeader) {
        self.position += header.size_bytes() as u64;
    }

    /// Computes the checksum of the batch at the position and compares it.
    pub(crate) fn checksum_matches(&mut self, header: &BatchHeader) -> io::Result<bool> {
        let end = self.position + header.size_bytes() as u64;
        let mut position = self.position + CHECKSUMMED_FROM as u64;
        let mut crc = 0;
        while position < end {
            let wanted = ((end - position) as usize).min(self.buffer.len());
            let bytes = self.bytes_at(position, wanted)?;
            crc = crc32c::crc32c_append(crc, bytes);
            position += wanted as u64;
        }
        Ok(crc == header.crc)
    }

    /// The bytes of the batch at the position, which `header` has told to fit into the segment.
    pub(crate) fn read_batch(&mut self, header: &BatchHeader) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; header.size_bytes()];
        self.file.read_exact_at(&mut bytes, self.position)?;
        Ok(bytes)
    }

    /// `length` bytes of the file, at most one buffer, from memory if they are there.
    fn bytes_at(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let buffered_to = self.buffered_from + self.buffered_bytes as u64;
        let is_buffered = position >= self.buffered_from && position + length as u64 <= buffered_to;
        if !is_buffered {
            self.buffered_bytes = 0;
            let room = (self.end - position).min(self.buffer.len() as u64) as usize;
            while self.buffered_bytes < length {
                let target = &mut self.buffer[self.buffered_bytes..room];
                match self.file.read_at(target, position + self.buffered_bytes as u64) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(read) => self.buffered_bytes += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.buffered_from = position;
        }
        let start = (position - self.buffered_from) as usize;
        Ok(&self.buffer[start..start + length])
    }
}
