//! The `records` field of Produce and Fetch: record batches that pass through without a copy.
//!
//! Never looks inside: see `record_batch` for that. Debug output shows sizes only, never a record.

use std::fmt;

use bytes::Bytes;

/// Record batches, one after the other.
#[derive(Clone)]
pub enum Records<'a> {
    /// Inside a received frame.
    Borrowed(&'a [u8]),
    /// Pieces that the writer splices into its output without copying them.
    Shared(Vec<Bytes>),
    /// This many bytes that the caller sends itself at this place, for instance straight from a file.
    /// Only [`Writer::finish_with_gaps`](crate::writer::Writer::finish_with_gaps) knows where they belong.
    Deferred(usize),
}

impl Records<'_> {
    pub fn len(&self) -> usize {
        match self {
            Records::Borrowed(bytes) => bytes.len(),
            Records::Shared(pieces) => pieces.iter().map(Bytes::len).sum(),
            Records::Deferred(bytes) => *bytes,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes in one piece; copies what is shared. Deferred bytes are not here and give nothing.
    pub fn to_vec(&self) -> Vec<u8> {
        match self {
            Records::Borrowed(bytes) => bytes.to_vec(),
            Records::Shared(pieces) => pieces.concat(),
            Records::Deferred(_) => Vec::new(),
        }
    }

    /// The bytes in order, as the slices that hold them; none for deferred bytes.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let (borrowed, shared) = match self {
            Records::Borrowed(bytes) => (Some(*bytes), &[][..]),
            Records::Shared(pieces) => (None, pieces.as_slice()),
            Records::Deferred(_) => (None, &[][..]),
        };
        borrowed.into_iter().chain(shared.iter().map(|piece| piece.as_ref()))
    }
}

/// Equal when the bytes are, however they are split.
impl PartialEq for Records<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.slices().flatten().eq(other.slices().flatten())
    }
}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Records({} bytes)", self.len())
    }
}
