//! Primitive fields of the record encoding: LEB128 integers, length-prefixed texts and lists.
//!
//! Decoding never panics, and never allocates by a length that was not checked against the bytes that are left.

use uuid::Uuid;

use crate::records::DecodeError;

/// The longest text in a record: a config value may be long, everything else is short.
pub(crate) const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Appends fields to a buffer.
pub(crate) struct FieldWriter<'a> {
    bytes: &'a mut Vec<u8>,
}

impl<'a> FieldWriter<'a> {
    pub(crate) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes }
    }

    pub(crate) fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    /// Seven bits per byte, lowest first; the high bit says that more follow.
    pub(crate) fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// Zigzag, so that small negative numbers stay short.
    pub(crate) fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)) as u64);
    }

    pub(crate) fn length(&mut self, value: usize) {
        self.unsigned(value as u64);
    }

    pub(crate) fn uuid(&mut self, value: Uuid) {
        self.bytes.extend_from_slice(value.as_bytes());
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.length(value.len());
        self.bytes.extend_from_slice(value.as_bytes());
    }

    pub(crate) fn optional_text(&mut self, value: Option<&str>) {
        self.boolean(value.is_some());
        if let Some(text) = value {
            self.text(text);
        }
    }

    pub(crate) fn broker_ids(&mut self, values: &[i32]) {
        self.length(values.len());
        for value in values {
            self.signed(i64::from(*value));
        }
    }
}

/// Takes fields off a slice.
pub(crate) struct FieldReader<'a> {
    bytes: &'a [u8],
}

impl<'a> FieldReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.bytes.split_at_checked(length) else {
            return Err(DecodeError::Truncated);
        };
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn boolean(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid { field }),
        }
    }

    pub(crate) fn unsigned(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let overflows = shift == 63 && bits > 1;
            // One encoding per value: a padded number would make equal records differ in bytes.
            let padded = shift > 0 && byte == 0;
            if overflows || padded {
                return Err(DecodeError::Invalid { field });
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Invalid { field })
    }

    pub(crate) fn signed(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        let zigzag = self.unsigned(field)?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    pub(crate) fn int32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        i32::try_from(self.signed(field)?).map_err(|_| DecodeError::Invalid { field })
    }

    /// A count of items that take at least one byte each, so it cannot exceed what is left.
    pub(crate) fn count(&mut self, field: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let count = self.unsigned(field)?;
        if count > limit as u64 {
            return Err(DecodeError::TooLong { field, length: count, limit });
        }
        let count = count as usize;
        if count > self.remaining() {
            return Err(DecodeError::Truncated);
        }
        Ok(count)
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        let mut bytes = [0u8; 16];
        bytes.copy_from_slice(self.take(16)?);
        Ok(Uuid::from_bytes(bytes))
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let length = self.count(field, MAX_TEXT_BYTES)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Invalid { field })
    }

    pub(crate) fn optional_text(&mut self, field: &'static str) -> Result<Option<&'a str>, DecodeError> {
        if self.boolean(field)? { Ok(Some(self.text(field)?)) } else { Ok(None) }
    }

    pub(crate) fn parsed<T: std::str::FromStr>(&mut self, field: &'static str) -> Result<T, DecodeError> {
        self.text(field)?.parse().map_err(|_| DecodeError::Invalid { field })
    }

    pub(crate) fn broker_ids(&mut self, field: &'static str, limit: usize) -> Result<Vec<i32>, DecodeError> {
        let count = self.count(field, limit)?;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(self.int32(field)?);
        }
        Ok(values)
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes { count: self.bytes.len() }) }
    }
}
