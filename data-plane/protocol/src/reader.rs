//! A bounded cursor over one received frame.
//!
//! Promises: never reads past the frame, never panics, never allocates by a length that the remaining bytes cannot
//! justify; strings and bytes are borrowed from the frame. Never knows a message: the generated code drives it.

use std::borrow::Cow;

use uuid::Uuid;

use crate::error::DecodeError;
use crate::records::Records;

/// Kafka's limit on every string, in bytes: lengths are 16-bit signed, in compact strings too.
pub const MAX_STRING_BYTES: usize = i16::MAX as usize;

/// The most memory that an array reserves before its first element was decoded, in bytes.
const INITIAL_RESERVATION_BYTES: usize = 64 * 1024;

const MAX_VARINT_BYTES: usize = 5;
const MAX_VARLONG_BYTES: usize = 10;

/// Reads Kafka's primitive types from a byte slice, front to back.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// How many bytes were not read yet.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes that were not read yet; does not move the cursor.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Takes the next `length` bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.bytes.split_at_checked(length) else {
            return Err(DecodeError::Truncated { needed: length, remaining: self.bytes.len() });
        };
        self.bytes = rest;
        Ok(taken)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.bytes.split_first_chunk::<N>() else {
            return Err(DecodeError::Truncated { needed: N, remaining: self.bytes.len() });
        };
        self.bytes = rest;
        Ok(*taken)
    }

    /// Any byte but zero is true, as in Kafka.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    #[inline]
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.take_array()?))
    }

    #[inline]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.take_array()?))
    }

    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.take_array()?))
    }

    #[inline]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.take_array()?))
    }

    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.take_array()?))
    }

    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.take_array()?))
    }

    #[inline]
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_be_bytes(self.take_array()?))
    }

    #[inline]
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        Ok(Uuid::from_bytes(self.take_array()?))
    }

    /// An unsigned variable-length integer of at most 5 bytes.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value: u64 = 0;
        for (index, byte) in self.bytes.iter().take(MAX_VARINT_BYTES).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.bytes = self.bytes.get(index + 1..).unwrap_or_default();
                return u32::try_from(value).map_err(|_| DecodeError::InvalidVarint { max_bytes: MAX_VARINT_BYTES });
            }
        }
        Err(self.unfinished_varint(MAX_VARINT_BYTES))
    }

    /// A zigzag variable-length integer of at most 5 bytes.
    #[inline]
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let raw = self.unsigned_varint()?;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// A zigzag variable-length integer of at most 10 bytes.
    #[inline]
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let mut value: u128 = 0;
        for (index, byte) in self.bytes.iter().take(MAX_VARLONG_BYTES).enumerate() {
            value |= u128::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.bytes = self.bytes.get(index + 1..).unwrap_or_default();
                let raw =
                    u64::try_from(value).map_err(|_| DecodeError::InvalidVarint { max_bytes: MAX_VARLONG_BYTES })?;
                return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
            }
        }
        Err(self.unfinished_varint(MAX_VARLONG_BYTES))
    }

    #[cold]
    fn unfinished_varint(&self, max_bytes: usize) -> DecodeError {
        if self.bytes.len() < max_bytes {
            return DecodeError::Truncated { needed: self.bytes.len() + 1, remaining: self.bytes.len() };
        }
        DecodeError::InvalidVarint { max_bytes }
    }

    /// A string with a 16-bit length.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        self.nullable_string()?.ok_or(DecodeError::UnexpectedNull)
    }

    /// A string with a 16-bit length, -1 for null.
    #[inline]
    pub fn nullable_string(&mut self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let length = self.i16()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| DecodeError::NegativeLength { length: i64::from(length) })?;
        self.utf8(length).map(Some)
    }

    /// A string whose length plus one is an unsigned varint.
    #[inline]
    pub fn compact_string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        self.compact_nullable_string()?.ok_or(DecodeError::UnexpectedNull)
    }

    /// A string whose length plus one is an unsigned varint, 0 for null.
    #[inline]
    pub fn compact_nullable_string(&mut self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let Some(length) = self.compact_length()? else { return Ok(None) };
        self.utf8(length).map(Some)
    }

    fn utf8(&mut self, length: usize) -> Result<Cow<'a, str>, DecodeError> {
        if length > MAX_STRING_BYTES {
            return Err(DecodeError::StringTooLong { length, limit: MAX_STRING_BYTES });
        }
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| DecodeError::InvalidUtf8)
    }

    /// Bytes with a 32-bit length.
    #[inline]
    pub fn bytes(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        self.nullable_bytes()?.ok_or(DecodeError::UnexpectedNull)
    }

    /// Bytes with a 32-bit length, -1 for null.
    #[inline]
    pub fn nullable_bytes(&mut self) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        let Some(length) = self.length()? else { return Ok(None) };
        Ok(Some(Cow::Borrowed(self.take(length)?)))
    }

    /// Bytes whose length plus one is an unsigned varint.
    #[inline]
    pub fn compact_bytes(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        self.compact_nullable_bytes()?.ok_or(DecodeError::UnexpectedNull)
    }

    /// Bytes whose length plus one is an unsigned varint, 0 for null.
    #[inline]
    pub fn compact_nullable_bytes(&mut self) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        let Some(length) = self.compact_length()? else { return Ok(None) };
        Ok(Some(Cow::Borrowed(self.take(length)?)))
    }

    /// Record batches with a 32-bit length, -1 for null. They stay in the frame.
    #[inline]
    pub fn nullable_records(&mut self) -> Result<Option<Records<'a>>, DecodeError> {
        let Some(length) = self.length()? else { return Ok(None) };
        Ok(Some(Records::Borrowed(self.take(length)?)))
    }

    /// Record batches whose length plus one is an unsigned varint, 0 for null. They stay in the frame.
    #[inline]
    pub fn compact_nullable_records(&mut self) -> Result<Option<Records<'a>>, DecodeError> {
        let Some(length) = self.compact_length()? else { return Ok(None) };
        Ok(Some(Records::Borrowed(self.take(length)?)))
    }

    /// The element count of an array with a 32-bit length.
    ///
    /// `smallest_bytes` is the least that one element takes on the wire; a count that cannot fit is refused here.
    #[inline]
    pub fn array_length(&mut self, smallest_bytes: usize) -> Result<usize, DecodeError> {
        self.nullable_array_length(smallest_bytes)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// As [`Reader::array_length`], -1 for null.
    #[inline]
    pub fn nullable_array_length(&mut self, smallest_bytes: usize) -> Result<Option<usize>, DecodeError> {
        let Some(count) = self.length()? else { return Ok(None) };
        self.check_count(count, smallest_bytes).map(Some)
    }

    /// The element count of an array whose length plus one is an unsigned varint; bounded as in
    /// [`Reader::array_length`].
    #[inline]
    pub fn compact_array_length(&mut self, smallest_bytes: usize) -> Result<usize, DecodeError> {
        self.compact_nullable_array_length(smallest_bytes)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// As [`Reader::compact_array_length`], 0 for null.
    #[inline]
    pub fn compact_nullable_array_length(&mut self, smallest_bytes: usize) -> Result<Option<usize>, DecodeError> {
        let Some(count) = self.compact_length()? else { return Ok(None) };
        self.check_count(count, smallest_bytes).map(Some)
    }

    #[inline]
    fn check_count(&self, count: usize, smallest_bytes: usize) -> Result<usize, DecodeError> {
        if count > self.bytes.len() / smallest_bytes.max(1) {
            return Err(DecodeError::TooManyElements { count, smallest_bytes, remaining: self.bytes.len() });
        }
        Ok(count)
    }

    /// Decodes `count` elements, a count that `array_length` and its kin have checked.
    #[inline]
    pub fn elements<T>(
        &mut self,
        count: usize,
        mut decode: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let most_reserved = (INITIAL_RESERVATION_BYTES / size_of::<T>().max(1)).max(1);
        let mut elements = Vec::with_capacity(count.min(most_reserved));
        for _ in 0..count {
            elements.push(decode(self)?);
        }
        Ok(elements)
    }

    /// Whether a nullable struct follows: a byte, -1 for null and 1 for present.
    #[inline]
    pub fn is_present(&mut self) -> Result<bool, DecodeError> {
        match self.i8()? {
            -1 => Ok(false),
            1 => Ok(true),
            marker => Err(DecodeError::InvalidNullMarker { marker }),
        }
    }

    /// Reads a section of tagged fields. `known` is called for each field with its tag and a reader over exactly its
    /// value, and says whether it knows the tag; fields it does not know are skipped, as Kafka asks.
    #[inline]
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader<'a>) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        // The count needs no bound of its own: every field takes at least two bytes of the frame.
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            let mut value = Reader::new(self.take(size)?);
            if known(tag, &mut value)? && !value.is_empty() {
                return Err(DecodeError::TaggedFieldSize { tag, left: value.remaining() });
            }
        }
        Ok(())
    }

    /// Skips a section of tagged fields none of which is known.
    #[inline]
    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(false))
    }

    #[inline]
    fn length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = self.i32()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| DecodeError::NegativeLength { length: i64::from(length) })?;
        Ok(Some(length))
    }

    #[inline]
    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok((self.unsigned_varint()? as usize).checked_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(bytes: &[u8]) -> Result<u32, DecodeError> {
        Reader::new(bytes).unsigned_varint()
    }

    #[test]
    fn a_varint_takes_at_most_five_bytes_and_32_bits() {
        assert_eq!(varint(&[0x00]), Ok(0));
        assert_eq!(varint(&[0xac, 0x02]), Ok(300));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x10]), Err(DecodeError::InvalidVarint { max_bytes: 5 }));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0]), Err(DecodeError::InvalidVarint { max_bytes: 5 }));
        assert_eq!(varint(&[]), Err(DecodeError::Truncated { needed: 1, remaining: 0 }));
        assert_eq!(varint(&[0x80, 0x80]), Err(DecodeError::Truncated { needed: 3, remaining: 2 }));
    }

    #[test]
    fn a_varlong_takes_at_most_ten_bytes_and_64_bits() {
        let check = |bytes: &[u8], expected| assert_eq!(Reader::new(bytes).varlong(), expected);
        check(&[0x01], Ok(-1));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Ok(i64::MIN));
        check(
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            Err(DecodeError::InvalidVarint { max_bytes: 10 }),
        );
        check(&[0x80; 11], Err(DecodeError::InvalidVarint { max_bytes: 10 }));
        check(&[0x80; 9], Err(DecodeError::Truncated { needed: 10, remaining: 9 }));
    }

    #[test]
    fn a_failed_read_does_not_move_past_the_end() {
        let mut reader = Reader::new(&[0, 1, 2]);
        assert_eq!(reader.i32(), Err(DecodeError::Truncated { needed: 4, remaining: 3 }));
        assert_eq!(reader.i16(), Ok(1));
        assert_eq!(reader.take(usize::MAX), Err(DecodeError::Truncated { needed: usize::MAX, remaining: 1 }));
        assert_eq!(reader.rest(), [2]);
    }

    #[test]
    fn null_and_empty_are_different() {
        assert_eq!(Reader::new(&[0xff, 0xff]).nullable_string(), Ok(None));
        assert_eq!(Reader::new(&[0, 0]).nullable_string(), Ok(Some("".into())));
        assert_eq!(Reader::new(&[0]).compact_nullable_string(), Ok(None));
        assert_eq!(Reader::new(&[1]).compact_nullable_string(), Ok(Some("".into())));
        assert_eq!(Reader::new(&[0xff, 0xff]).string(), Err(DecodeError::UnexpectedNull));
        assert_eq!(Reader::new(&[0]).compact_array_length(1), Err(DecodeError::UnexpectedNull));
    }

    #[test]
    fn a_negative_length_other_than_null_is_refused() {
        assert_eq!(Reader::new(&[0xff, 0xfe]).nullable_string(), Err(DecodeError::NegativeLength { length: -2 }));
        let length = i64::from(i32::MIN);
        assert_eq!(Reader::new(&[0x80, 0, 0, 0]).nullable_bytes(), Err(DecodeError::NegativeLength { length }));
    }

    #[test]
    fn strings_are_bounded_and_utf_8() {
        let mut long = vec![0x81, 0x80, 0x02];
        long.extend(vec![b'a'; 32768]);
        let too_long = DecodeError::StringTooLong { length: 32768, limit: MAX_STRING_BYTES };
        assert_eq!(Reader::new(&long).compact_string(), Err(too_long));
        assert_eq!(Reader::new(&[2, 0xc3]).compact_string(), Err(DecodeError::InvalidUtf8));
    }

    #[test]
    fn a_count_must_fit_into_what_remains() {
        let bytes = [0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(Reader::new(&bytes).array_length(2), Ok(3));
        let refused = DecodeError::TooManyElements { count: 3, smallest_bytes: 4, remaining: 8 };
        assert_eq!(Reader::new(&bytes).array_length(4), Err(refused));
    }
}
