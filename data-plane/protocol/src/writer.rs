//! Builds one message: a growing buffer plus pieces of records that are spliced in without a copy.
//!
//! Promises: the pieces, in order, are exactly the encoded bytes; every length is checked before it is written.
//! Never knows a message: the generated code drives it.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::error::EncodeError;
use crate::reader::MAX_STRING_BYTES;
use crate::records::Records;

/// Smaller pieces are copied: one more entry in the write vector costs more than the copy.
const SMALLEST_SPLICE_BYTES: usize = 1024;

/// Kafka's lengths are 32-bit signed, and a compact length is written plus one.
const MAX_LENGTH: usize = i32::MAX as usize - 1;

#[derive(Debug)]
enum Piece {
    Written(BytesMut),
    Spliced(Bytes),
    Deferred(usize),
}

/// One part of a finished message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPiece {
    /// Encoded bytes.
    Bytes(Bytes),
    /// This many bytes of [`Records::Deferred`](crate::records::Records::Deferred) belong here.
    Gap(usize),
}

/// Writes Kafka's primitive types, front to back.
#[derive(Debug, Default)]
pub struct Writer {
    finished: Vec<Piece>,
    finished_bytes: usize,
    buffer: BytesMut,
    /// Inside a tagged field everything stays in `buffer`, because its size is known only afterwards.
    tagged_depth: u32,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer whose buffer takes `capacity` bytes before it grows.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(capacity), ..Self::default() }
    }

    /// How many bytes were written so far, spliced ones included.
    pub fn len(&self) -> usize {
        self.finished_bytes + self.buffer.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The encoded bytes, in order. Deferred records leave no trace: a message that has some needs
    /// [`finish_with_gaps`](Self::finish_with_gaps).
    pub fn finish(self) -> Vec<Bytes> {
        let pieces = self.finish_with_gaps().into_iter();
        pieces
            .filter_map(|piece| match piece {
                OutputPiece::Bytes(bytes) => Some(bytes),
                OutputPiece::Gap(_) => None,
            })
            .collect()
    }

    /// The encoded bytes and the gaps for deferred records, in order.
    pub fn finish_with_gaps(mut self) -> Vec<OutputPiece> {
        self.cut();
        let mut pieces = Vec::with_capacity(self.finished.len());
        for piece in self.finished {
            pieces.push(match piece {
                Piece::Written(bytes) => OutputPiece::Bytes(bytes.freeze()),
                Piece::Spliced(bytes) => OutputPiece::Bytes(bytes),
                Piece::Deferred(length) => OutputPiece::Gap(length),
            });
        }
        pieces
    }

    /// The encoded bytes in one piece; copies if anything was spliced.
    pub fn finish_contiguous(self) -> Bytes {
        let mut pieces = self.finish();
        if pieces.len() == 1 {
            return pieces.remove(0);
        }
        pieces.concat().into()
    }

    /// Overwrites the first four bytes, for a length that is known only at the end.
    ///
    /// The first four bytes must have been written by this writer, not spliced; otherwise nothing changes.
    pub(crate) fn patch_first_i32(&mut self, value: i32) {
        let first = match self.finished.first_mut() {
            Some(Piece::Written(bytes)) => bytes,
            Some(Piece::Spliced(_) | Piece::Deferred(_)) => return,
            None => &mut self.buffer,
        };
        if let Some(prefix) = first.first_chunk_mut() {
            *prefix = value.to_be_bytes();
        }
    }

    fn cut(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let written = self.buffer.split();
        self.finished_bytes += written.len();
        self.finished.push(Piece::Written(written));
    }

    /// Appends raw bytes.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }

    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.buffer.put_u8(u8::from(value));
    }

    #[inline]
    pub fn i8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    #[inline]
    pub fn i16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.buffer.put_u16(value);
    }

    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.buffer.put_u32(value);
    }

    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    #[inline]
    pub fn f64(&mut self, value: f64) {
        self.buffer.put_f64(value);
    }

    #[inline]
    pub fn uuid(&mut self, value: Uuid) {
        self.buffer.put_slice(value.as_bytes());
    }

    /// An unsigned variable-length integer.
    #[inline]
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// A zigzag variable-length integer.
    #[inline]
    pub fn varint(&mut self, value: i32) {
        self.unsigned_varint(((value << 1) ^ (value >> 31)) as u32);
    }

    /// A zigzag variable-length integer of 64 bits.
    #[inline]
    pub fn varlong(&mut self, value: i64) {
        let mut value = ((value << 1) ^ (value >> 63)) as u64;
        while value >= 0x80 {
            self.buffer.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// A string with a 16-bit length.
    pub fn string(&mut self, value: &str) -> Result<(), EncodeError> {
        self.i16(checked_string_length(value)?);
        self.raw(value.as_bytes());
        Ok(())
    }

    /// A string with a 16-bit length, -1 for null.
    pub fn nullable_string(&mut self, value: Option<&str>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.i16(-1);
            return Ok(());
        };
        self.string(value)
    }

    /// A string whose length plus one is an unsigned varint.
    pub fn compact_string(&mut self, value: &str) -> Result<(), EncodeError> {
        let length = checked_string_length(value)?;
        self.unsigned_varint(length as u32 + 1);
        self.raw(value.as_bytes());
        Ok(())
    }

    /// A string whose length plus one is an unsigned varint, 0 for null.
    pub fn compact_nullable_string(&mut self, value: Option<&str>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.null_compact();
            return Ok(());
        };
        self.compact_string(value)
    }

    /// Bytes with a 32-bit length.
    pub fn bytes(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        self.array_length(value.len())?;
        self.raw(value);
        Ok(())
    }

    /// Bytes whose length plus one is an unsigned varint.
    pub fn compact_bytes(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        self.compact_array_length(value.len())?;
        self.raw(value);
        Ok(())
    }

    /// Bytes with a 32-bit length, -1 for null.
    pub fn nullable_bytes(&mut self, value: Option<&[u8]>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.null();
            return Ok(());
        };
        self.bytes(value)
    }

    /// Bytes whose length plus one is an unsigned varint, 0 for null.
    pub fn compact_nullable_bytes(&mut self, value: Option<&[u8]>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.null_compact();
            return Ok(());
        };
        self.compact_bytes(value)
    }

    /// Record batches with a 32-bit length, -1 for null; shared pieces are spliced in.
    pub fn nullable_records(&mut self, value: Option<&Records<'_>>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.null();
            return Ok(());
        };
        self.records(value)
    }

    /// Record batches whose length plus one is an unsigned varint, 0 for null; shared pieces are spliced in.
    pub fn compact_nullable_records(&mut self, value: Option<&Records<'_>>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.null_compact();
            return Ok(());
        };
        self.compact_records(value)
    }

    /// Record batches with a 32-bit length; shared pieces are spliced in.
    pub fn records(&mut self, value: &Records<'_>) -> Result<(), EncodeError> {
        self.array_length(value.len())?;
        self.splice(value);
        Ok(())
    }

    /// Record batches whose length plus one is an unsigned varint; shared pieces are spliced in.
    pub fn compact_records(&mut self, value: &Records<'_>) -> Result<(), EncodeError> {
        self.compact_array_length(value.len())?;
        self.splice(value);
        Ok(())
    }

    fn splice(&mut self, value: &Records<'_>) {
        let pieces = match value {
            Records::Borrowed(bytes) => return self.raw(bytes),
            Records::Shared(pieces) => pieces,
            Records::Deferred(length) => {
                self.cut();
                self.finished_bytes += length;
                self.finished.push(Piece::Deferred(*length));
                return;
            }
        };
        for piece in pieces {
            if piece.len() < SMALLEST_SPLICE_BYTES || self.tagged_depth > 0 {
                self.raw(piece);
                continue;
            }
            self.cut();
            self.finished_bytes += piece.len();
            self.finished.push(Piece::Spliced(piece.clone()));
        }
    }

    /// The length of an array or of bytes, 32 bits.
    #[inline]
    pub fn array_length(&mut self, length: usize) -> Result<(), EncodeError> {
        self.i32(checked_length(length)?);
        Ok(())
    }

    /// The length of an array or of bytes plus one, as an unsigned varint.
    #[inline]
    pub fn compact_array_length(&mut self, length: usize) -> Result<(), EncodeError> {
        let length = checked_length(length)?;
        self.unsigned_varint(length as u32 + 1);
        Ok(())
    }

    /// Null in place of an array, bytes or records with a 32-bit length.
    #[inline]
    pub fn null(&mut self) {
        self.i32(-1);
    }

    /// Null in place of anything with a compact length.
    #[inline]
    pub fn null_compact(&mut self) {
        self.unsigned_varint(0);
    }

    /// The byte before a nullable struct that is there.
    #[inline]
    pub fn struct_follows(&mut self) {
        self.i8(1);
    }

    /// The byte in place of a nullable struct.
    #[inline]
    pub fn null_struct(&mut self) {
        self.i8(-1);
    }

    /// An empty section of tagged fields.
    #[inline]
    pub fn no_tagged_fields(&mut self) {
        self.unsigned_varint(0);
    }

    /// One tagged field: tag, size and the value that `encode` writes.
    pub fn tagged_field(
        &mut self,
        tag: u32,
        encode: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.unsigned_varint(tag);
        // Most values are short, so leave one byte for the size and move the value if it needs more.
        let size_at = self.buffer.len();
        self.buffer.put_u8(0);
        self.tagged_depth += 1;
        let result = encode(self);
        self.tagged_depth -= 1;
        result?;
        let value_at = size_at + 1;
        let size = self.buffer.len() - value_at;
        let (encoded, encoded_bytes) = varint_bytes(checked_length(size)? as u32);
        self.buffer.put_bytes(0, encoded_bytes - 1);
        self.buffer.copy_within(value_at..value_at + size, size_at + encoded_bytes);
        for (place, byte) in self.buffer.iter_mut().skip(size_at).zip(encoded.iter().take(encoded_bytes)) {
            *place = *byte;
        }
        Ok(())
    }
}

fn varint_bytes(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut used = 0;
    for byte in &mut bytes {
        used += 1;
        if value < 0x80 {
            *byte = value as u8;
            break;
        }
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    (bytes, used)
}

fn checked_string_length(value: &str) -> Result<i16, EncodeError> {
    i16::try_from(value.len()).map_err(|_| EncodeError::StringTooLong { length: value.len(), limit: MAX_STRING_BYTES })
}

fn checked_length(length: usize) -> Result<i32, EncodeError> {
    if length > MAX_LENGTH {
        return Err(EncodeError::TooLong { length, limit: MAX_LENGTH });
    }
    Ok(length as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::Reader;

    #[test]
    fn varints_read_back_as_they_were_written() {
        for shift in 0..64 {
            for value in [1i64 << shift, (1i64 << shift).wrapping_sub(1), (1i64 << shift).wrapping_neg()] {
                let mut writer = Writer::new();
                writer.varlong(value);
                writer.varint(value as i32);
                writer.unsigned_varint(value as u32);
                let bytes = writer.finish_contiguous();
                let mut reader = Reader::new(&bytes);
                assert_eq!(reader.varlong(), Ok(value));
                assert_eq!(reader.varint(), Ok(value as i32));
                assert_eq!(reader.unsigned_varint(), Ok(value as u32));
                assert!(reader.is_empty());
            }
        }
    }

    #[test]
    fn a_tagged_field_of_any_size_gets_its_size_in_front() {
        for size in [0, 1, 127, 128, 129, 16383, 16384, 2_097_152] {
            let value = vec![7; size];
            let mut writer = Writer::new();
            writer.i8(1);
            writer
                .tagged_field(3, |writer| {
                    writer.raw(&value);
                    Ok(())
                })
                .unwrap();
            writer.i8(2);
            let bytes = writer.finish_contiguous();
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.i8(), Ok(1));
            assert_eq!(reader.unsigned_varint(), Ok(3));
            assert_eq!(reader.unsigned_varint(), Ok(size as u32));
            assert_eq!(reader.take(size), Ok(value.as_slice()));
            assert_eq!(reader.i8(), Ok(2));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn records_inside_a_tagged_field_stay_in_order() {
        let piece = Bytes::from(vec![9; SMALLEST_SPLICE_BYTES * 2]);
        let mut writer = Writer::new();
        writer.tagged_field(0, |writer| writer.compact_records(&Records::Shared(vec![piece.clone()]))).unwrap();
        let pieces = writer.finish();
        assert_eq!(pieces.len(), 1);
        assert!(pieces[0].ends_with(&piece));
    }

    #[test]
    fn only_large_pieces_are_spliced() {
        let large = Bytes::from(vec![1; SMALLEST_SPLICE_BYTES]);
        let small = Bytes::from(vec![2; SMALLEST_SPLICE_BYTES - 1]);
        let mut writer = Writer::new();
        writer.records(&Records::Shared(vec![large.clone(), small.clone(), small, large])).unwrap();
        assert_eq!(writer.len(), 4 + 4 * SMALLEST_SPLICE_BYTES - 2);
        let sizes: Vec<usize> = writer.finish().iter().map(Bytes::len).collect();
        assert_eq!(sizes, [4, SMALLEST_SPLICE_BYTES, 2 * (SMALLEST_SPLICE_BYTES - 1), SMALLEST_SPLICE_BYTES]);
    }

    #[test]
    fn a_string_that_kafka_cannot_read_is_refused() {
        let text = "a".repeat(MAX_STRING_BYTES + 1);
        let refused = Err(EncodeError::StringTooLong { length: MAX_STRING_BYTES + 1, limit: MAX_STRING_BYTES });
        assert_eq!(Writer::new().string(&text), refused);
        assert_eq!(Writer::new().compact_string(&text), refused);
        assert_eq!(Writer::new().string(&text[1..]), Ok(()));
    }

    #[test]
    fn a_length_beyond_31_bits_is_refused() {
        assert!(Writer::new().array_length(MAX_LENGTH + 1).is_err());
        assert!(Writer::new().compact_array_length(usize::MAX).is_err());
        assert_eq!(Writer::new().compact_array_length(MAX_LENGTH), Ok(()));
    }
}
