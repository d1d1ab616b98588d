//! A run of record batches, as a segment or a fetch response holds them.
//! A batch that is cut off at the end is not an error: fetch responses may end so. Damage before it is.

use std::borrow::Cow;

use super::{BATCH_HEADER_BYTES, BatchError, BatchHeader, RecordIterator, parse_header, verify_checksum};
use crate::compression::{self, Compression};

/// One whole batch inside a longer run of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub header: BatchHeader,
    /// Header and records; exactly `header.size_bytes()` long.
    pub bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    pub fn verify_checksum(&self) -> Result<(), BatchError> {
        verify_checksum(self.bytes, &self.header)
    }

    /// The records, decompressed if need be, to at most `max_bytes`.
    pub fn payload(&self, max_bytes: usize) -> Result<Cow<'a, [u8]>, BatchError> {
        let stored = &self.bytes[BATCH_HEADER_BYTES..];
        match self.header.compression() {
            None => Err(BatchError::UnknownCompression { id: (self.header.attributes & 7) as u8 }),
            Some(Compression::None) => Ok(Cow::Borrowed(stored)),
            Some(codec) => Ok(Cow::Owned(compression::decompress(codec, stored, max_bytes)?)),
        }
    }

    /// The records of a payload obtained from `payload`.
    pub fn records<'p>(&self, payload: &'p [u8]) -> RecordIterator<'p> {
        RecordIterator::new(&self.header, payload)
    }
}

/// Walks the batches in `bytes`. Yields an error once, then ends.
#[derive(Debug, Clone)]
pub struct BatchIterator<'a> {
    rest: &'a [u8],
}

impl<'a> BatchIterator<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not yielded yet: after the end, the part of a batch that was cut off.
    pub const fn remaining(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for BatchIterator<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.len() < BATCH_HEADER_BYTES {
            return None;
        }
        let header = match parse_header(self.rest) {
            Ok(header) => header,
            Err(error) => {
                self.rest = &[];
                return Some(Err(error));
            }
        };
        let (bytes, rest) = self.rest.split_at_checked(header.size_bytes())?;
        self.rest = rest;
        Some(Ok(Batch { header, bytes }))
    }
}
