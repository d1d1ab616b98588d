//! One record inside an uncompressed record payload, and the walk over all of them.
//!
//! ```text
//! length varint │ attributes 1 │ timestamp delta varlong │ offset delta varint
//! │ key length varint (-1: null) │ key │ value length varint (-1: null) │ value
//! │ header count varint │ { key length varint │ key │ value length varint (-1: null) │ value } …
//! ```
//!
//! Keys and values are slices of the payload. Counts are never trusted: every length is checked against what is left.

use std::borrow::Cow;

use super::{BatchError, BatchHeader, TimestampType, varint};

/// A record as a client sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'a> {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// In the order written; the same key may occur more than once.
    pub headers: Vec<RecordHeader<'a>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RecordHeader<'a> {
    pub key: Cow<'a, str>,
    pub value: Option<&'a [u8]>,
}

/// Walks the records of one batch. Yields an error once, then ends.
#[derive(Debug, Clone)]
pub struct RecordIterator<'a> {
    header: BatchHeader,
    rest: &'a [u8],
    next_index: usize,
    finished: bool,
}

impl<'a> RecordIterator<'a> {
    /// `payload` is what follows the batch header, already decompressed (see `Batch::payload`).
    pub fn new(header: &BatchHeader, payload: &'a [u8]) -> Self {
        Self { header: *header, rest: payload, next_index: 0, finished: false }
    }

    /// The next record without its headers collected: validation needs no allocation.
    pub(super) fn next_fields(&mut self) -> Option<Result<RecordFields<'a>, BatchError>> {
        if self.finished {
            return None;
        }
        let index = self.next_index;
        let record_count = usize::try_from(self.header.record_count).unwrap_or(0);
        if index == record_count {
            self.finished = true;
            let leftover = !self.rest.is_empty();
            return leftover
                .then_some(Err(BatchError::MalformedRecord { index, reason: "bytes follow the last record" }));
        }
        match RecordFields::read(&mut self.rest) {
            Ok(fields) => {
                self.next_index += 1;
                Some(Ok(fields))
            }
            Err(reason) => {
                self.finished = true;
                Some(Err(BatchError::MalformedRecord { index, reason }))
            }
        }
    }
}

impl<'a> Iterator for RecordIterator<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let fields = match self.next_fields()? {
            Ok(fields) => fields,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(Record {
            offset: self.header.base_offset.wrapping_add(i64::from(fields.offset_delta)),
            timestamp: match self.header.timestamp_type() {
                TimestampType::CreateTime => self.header.base_timestamp.wrapping_add(fields.timestamp_delta),
                TimestampType::LogAppendTime => self.header.max_timestamp,
            },
            key: fields.key,
            value: fields.value,
            headers: fields.headers(),
        }))
    }
}

/// The parts of one record, each checked to lie inside the record's own length.
#[derive(Debug)]
pub(super) struct RecordFields<'a> {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    header_count: usize,
    header_bytes: &'a [u8],
}

impl<'a> RecordFields<'a> {
    /// Reads one record and advances `input` past it.
    fn read(input: &mut &'a [u8]) -> Result<Self, &'static str> {
        let mut rest = *input;
        let length = varint::read_i32(&mut rest).ok_or("the length is cut off")?;
        let length = usize::try_from(length).map_err(|_| "the length is negative")?;
        let (mut body, after) = rest.split_at_checked(length).ok_or("the length exceeds the batch")?;
        *input = after;

        let (_attributes, after_attributes) = body.split_first().ok_or("the attributes are cut off")?;
        body = after_attributes;
        let timestamp_delta = varint::read_i64(&mut body).ok_or("the timestamp delta is cut off")?;
        let offset_delta = varint::read_i32(&mut body).ok_or("the offset delta is cut off")?;
        let key = read_nullable(&mut body).ok_or("the key exceeds the record")?;
        let value = read_nullable(&mut body).ok_or("the value exceeds the record")?;
        let header_count = varint::read_i32(&mut body).ok_or("the header count is cut off")?;
        let header_count = usize::try_from(header_count).map_err(|_| "the header count is negative")?;
        let header_bytes = body;
        for _ in 0..header_count {
            // A header takes at least two bytes, so a hostile count ends here with the bytes.
            read_nullable(&mut body).flatten().ok_or("a header key is null or exceeds the record")?;
            read_nullable(&mut body).ok_or("a header value exceeds the record")?;
        }
        if !body.is_empty() {
            return Err("bytes follow the last header");
        }
        Ok(Self { timestamp_delta, offset_delta, key, value, header_count, header_bytes })
    }

    fn headers(&self) -> Vec<RecordHeader<'a>> {
        let mut rest = self.header_bytes;
        // The count was walked in `read`, so it is at most half the bytes.
        let mut headers = Vec::with_capacity(self.header_count);
        while headers.len() < self.header_count {
            let (Some(Some(key)), Some(value)) = (read_nullable(&mut rest), read_nullable(&mut rest)) else { break };
            headers.push(RecordHeader { key: String::from_utf8_lossy(key), value });
        }
        headers
    }
}

/// Reads a length and that many bytes; `Some(None)` is null, `None` is malformed.
#[allow(clippy::option_option)]
fn read_nullable<'a>(input: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint::read_i32(input)?;
    if length == -1 {
        return Some(None);
    }
    let (bytes, rest) = input.split_at_checked(usize::try_from(length).ok()?)?;
    *input = rest;
    Some(Some(bytes))
}
