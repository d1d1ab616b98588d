//! Builds one record batch in memory, for coordinators, REST produce and the command line.
//! The memory is the caller's to bound: ask `size_bytes` before appending more.

use thiserror::Error;

use super::{
    BATCH_HEADER_BYTES, BatchHeader, CHECKSUMMED_FROM, CONTROL_BIT, CRC_POSITION, CURRENT_MAGIC, LOG_OVERHEAD_BYTES,
    NO_PRODUCER_ID, NO_TIMESTAMP, TIMESTAMP_TYPE_BIT, TRANSACTIONAL_BIT, varint,
};
use crate::compression::{self, Compression, CompressionError};

/// A record to be appended to a batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRecord<'a> {
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

#[derive(Debug, Error)]
pub enum BuildError {
    #[error("a batch needs at least one record")]
    Empty,
    #[error("the batch would have {size} bytes, more than its length field holds")]
    TooLarge { size: usize },
    #[error(transparent)]
    Compress(#[from] CompressionError),
}

/// Offsets start at 0 (or `base_offset`) and rise by one per record.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    compression: Compression,
    records: Vec<u8>,
    record_count: usize,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch of no producer, with create times, not compressed.
    pub fn new() -> Self {
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: -1,
            magic: CURRENT_MAGIC,
            crc: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 0,
        };
        Self { header, compression: Compression::None, records: Vec::new(), record_count: 0 }
    }

    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    #[must_use]
    pub fn base_offset(mut self, base_offset: i64) -> Self {
        self.header.base_offset = base_offset;
        self
    }

    #[must_use]
    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.header.partition_leader_epoch = leader_epoch;
        self
    }

    #[must_use]
    pub fn producer(mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = producer_id;
        self.header.producer_epoch = producer_epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.attributes |= TRANSACTIONAL_BIT;
        self
    }

    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.attributes |= CONTROL_BIT;
        self
    }

    /// Marks the timestamps as the broker's: all records then carry the batch's max timestamp.
    #[must_use]
    pub fn log_append_time(mut self) -> Self {
        self.header.attributes |= TIMESTAMP_TYPE_BIT;
        self
    }

    pub fn append(&mut self, record: NewRecord<'_>) {
        if self.record_count == 0 {
            self.header.base_timestamp = record.timestamp;
        }
        self.header.max_timestamp = self.header.max_timestamp.max(record.timestamp);
        let timestamp_delta = record.timestamp.wrapping_sub(self.header.base_timestamp);
        // A batch of more than 2^31 records exceeds the length field long before, which `build` refuses.
        let offset_delta = self.record_count as i32;

        let output = &mut self.records;
        varint::write_i32(output, body_size(&record, timestamp_delta, offset_delta) as i32);
        output.push(0);
        varint::write_i64(output, timestamp_delta);
        varint::write_i32(output, offset_delta);
        write_nullable(output, record.key);
        write_nullable(output, record.value);
        varint::write_i32(output, record.headers.len() as i32);
        for (key, value) in record.headers {
            write_nullable(output, Some(key.as_bytes()));
            write_nullable(output, *value);
        }
        self.record_count += 1;
    }

    pub const fn record_count(&self) -> usize {
        self.record_count
    }

    pub const fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// The size of the batch so far, before compression.
    pub const fn size_bytes(&self) -> usize {
        BATCH_HEADER_BYTES + self.records.len()
    }

    /// The finished batch.
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        if self.record_count == 0 {
            return Err(BuildError::Empty);
        }
        let too_large = |size| BuildError::TooLarge { size };
        // Checked before compressing too: the deltas and lengths inside were written as 32-bit numbers.
        i32::try_from(self.size_bytes()).map_err(|_| too_large(self.size_bytes()))?;
        let compressed;
        let payload = match self.compression {
            Compression::None => &self.records,
            codec => {
                compressed = compression::compress(codec, &self.records)?;
                &compressed
            }
        };
        let size = BATCH_HEADER_BYTES + payload.len();
        let mut header = self.header;
        header.batch_length = i32::try_from(size - LOG_OVERHEAD_BYTES).map_err(|_| too_large(size))?;
        header.attributes |= i16::from(self.compression.id());
        header.record_count = i32::try_from(self.record_count).map_err(|_| too_large(size))?;
        header.last_offset_delta = header.record_count - 1;

        let mut batch = Vec::with_capacity(size);
        batch.extend_from_slice(&header.to_bytes());
        batch.extend_from_slice(payload);
        let crc = crc32c::crc32c(&batch[CHECKSUMMED_FROM..]);
        batch[CRC_POSITION..CHECKSUMMED_FROM].copy_from_slice(&crc.to_be_bytes());
        Ok(batch)
    }
}

fn body_size(record: &NewRecord<'_>, timestamp_delta: i64, offset_delta: i32) -> usize {
    let headers: usize =
        record.headers.iter().map(|(key, value)| nullable_size(Some(key.as_bytes())) + nullable_size(*value)).sum();
    1 + varint::size_i64(timestamp_delta)
        + varint::size_i32(offset_delta)
        + nullable_size(record.key)
        + nullable_size(record.value)
        + varint::size_i32(record.headers.len() as i32)
        + headers
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::size_i32(bytes.len() as i32) + bytes.len())
}

fn write_nullable(output: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::write_i32(output, -1),
        Some(bytes) => {
            varint::write_i32(output, bytes.len() as i32);
            output.extend_from_slice(bytes);
        }
    }
}
