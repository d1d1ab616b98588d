//! Record batches, format version 2: the unit that is produced, stored and fetched.
//!
//! ```text
//!  0  base offset             8 │  not covered by the checksum: a broker rewrites
//!  8  batch length            4 │  base offset and leader epoch in place
//! 12  partition leader epoch  4 │
//! 16  magic (2)               1 │
//! 17  CRC-32C                 4 │  over everything from byte 21 to the end
//! 21  attributes              2    bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon
//! 23  last offset delta       4
//! 27  base timestamp          8
//! 35  max timestamp           8
//! 43  producer id             8
//! 51  producer epoch          2
//! 53  base sequence           4
//! 57  record count            4
//! 61  records, compressed as the attributes say
//! ```
//!
//! The batch length counts from byte 12. All numbers are big-endian. Parsing looks at the header only; records are
//! touched by `validate_produced` and the iterators, and never copied unless they must be decompressed.

mod batches;
mod builder;
mod control;
mod error;
mod record;
mod validate;
mod varint;

pub use batches::{Batch, BatchIterator};
pub use builder::{BatchBuilder, BuildError, NewRecord};
pub use control::{ControlKind, ControlMarker};
pub use error::BatchError;
pub use record::{Record, RecordHeader, RecordIterator};
pub use validate::{ProduceLimits, validate_produced};

use crate::compression::Compression;

/// The bytes in front of the records.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Base offset and batch length, which the batch length does not count.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// The part in front of the magic value, which the checksum does not cover and a broker rewrites.
pub const BATCH_PREFIX_BYTES: usize = 16;
/// Where the stored checksum is.
pub const CRC_POSITION: usize = 17;
/// Where the checksummed part starts.
pub const CHECKSUMMED_FROM: usize = 21;
/// The only format version that is produced, stored or served.
pub const CURRENT_MAGIC: i8 = 2;

/// No producer: not idempotent, not transactional.
pub const NO_PRODUCER_ID: i64 = -1;
/// A record without a time.
pub const NO_TIMESTAMP: i64 = -1;

const COMPRESSION_MASK: i16 = 0x07;
const TIMESTAMP_TYPE_BIT: i16 = 0x08;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;
const DELETE_HORIZON_BIT: i16 = 0x40;

/// Who set the timestamps of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The producer, record by record.
    #[default]
    CreateTime,
    /// The broker: all records carry the batch's max timestamp.
    LogAppendTime,
}

/// The header of a record batch, as it stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    pub batch_length: i32,
    pub partition_leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    pub const fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(self.last_offset_delta as i64)
    }

    /// The offset after the last record.
    pub const fn next_offset(&self) -> i64 {
        self.last_offset().wrapping_add(1)
    }

    /// The whole batch, header included. `parse_header` refuses lengths below the header's.
    pub const fn size_bytes(&self) -> usize {
        self.batch_length as usize + LOG_OVERHEAD_BYTES
    }

    /// The codec, or `None` if its number is not assigned.
    pub const fn compression(&self) -> Option<Compression> {
        Compression::from_id((self.attributes & COMPRESSION_MASK) as u8)
    }

    pub const fn timestamp_type(&self) -> TimestampType {
        if self.attributes & TIMESTAMP_TYPE_BIT == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    pub const fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    pub const fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether the base timestamp holds the time until which compaction keeps tombstones.
    pub const fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON_BIT != 0
    }

    pub const fn has_producer(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// The sequence number of the last record; sequences wrap from 2^31 - 1 to 0.
    pub const fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        increment_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// This header with the timestamp type of the topic.
    pub const fn with_timestamp_type(mut self, timestamp_type: TimestampType) -> Self {
        self.attributes = match timestamp_type {
            TimestampType::CreateTime => self.attributes & !TIMESTAMP_TYPE_BIT,
            TimestampType::LogAppendTime => self.attributes | TIMESTAMP_TYPE_BIT,
        };
        self
    }

    /// The bytes of this header.
    pub fn to_bytes(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        bytes[16] = self.magic as u8;
        bytes[17..21].copy_from_slice(&self.crc.to_be_bytes());
        bytes[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        bytes[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        bytes[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        bytes[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        bytes[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; BATCH_HEADER_BYTES]) -> Self {
        Self {
            base_offset: i64::from_be_bytes(array_at(bytes, 0)),
            batch_length: i32::from_be_bytes(array_at(bytes, 8)),
            partition_leader_epoch: i32::from_be_bytes(array_at(bytes, 12)),
            magic: bytes[16] as i8,
            crc: u32::from_be_bytes(array_at(bytes, 17)),
            attributes: i16::from_be_bytes(array_at(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(array_at(bytes, 23)),
            base_timestamp: i64::from_be_bytes(array_at(bytes, 27)),
            max_timestamp: i64::from_be_bytes(array_at(bytes, 35)),
            producer_id: i64::from_be_bytes(array_at(bytes, 43)),
            producer_epoch: i16::from_be_bytes(array_at(bytes, 51)),
            base_sequence: i32::from_be_bytes(array_at(bytes, 53)),
            record_count: i32::from_be_bytes(array_at(bytes, 57)),
        }
    }
}

/// The sequence number `by` steps after `sequence`, wrapping from 2^31 - 1 to 0.
pub const fn increment_sequence(sequence: i32, by: i32) -> i32 {
    sequence.wrapping_add(by) & i32::MAX
}

/// Reads the header at the start of `bytes`. The records need not be there, and nothing but the header's own shape
/// is checked: magic 2 and a length that holds a header.
pub fn parse_header(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let Some(header) = bytes.first_chunk::<BATCH_HEADER_BYTES>() else {
        return Err(BatchError::Incomplete { available: bytes.len() });
    };
    let header = BatchHeader::from_bytes(header);
    if header.magic != CURRENT_MAGIC {
        return Err(BatchError::UnknownMagic { magic: header.magic });
    }
    if header.batch_length < (BATCH_HEADER_BYTES - LOG_OVERHEAD_BYTES) as i32 {
        return Err(BatchError::LengthTooSmall { batch_length: header.batch_length });
    }
    Ok(header)
}

/// Compares the stored checksum of a whole batch with its bytes.
pub fn verify_checksum(batch: &[u8], header: &BatchHeader) -> Result<(), BatchError> {
    let checksummed = batch.get(CHECKSUMMED_FROM..).ok_or(BatchError::Incomplete { available: batch.len() })?;
    let computed = crc32c::crc32c(checksummed);
    if computed == header.crc { Ok(()) } else { Err(BatchError::WrongChecksum { stored: header.crc, computed }) }
}

/// Copies `N` bytes from a constant position that the caller has made sure is inside.
fn array_at<const N: usize>(bytes: &[u8; BATCH_HEADER_BYTES], position: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[position..position + N]);
    array
}

#[cfg(test)]
mod tests;
