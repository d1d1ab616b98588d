//! What a broker checks before it appends a batch that a client produced, in the order of Kafka's own validation,
//! because the first failing check decides the error code the client sees.
//!
//! The checksum is computed here and nowhere else on the way in. Compressed records are only decompressed if the
//! topic needs a look at their keys; else no more than the codec's first bytes are looked at. So damage inside
//! compressed records under a good checksum, which only the producer can have done, is found by its consumers.

use super::{
    BATCH_HEADER_BYTES, Batch, BatchError, BatchHeader, CHECKSUMMED_FROM, CURRENT_MAGIC, LOG_OVERHEAD_BYTES,
    NO_TIMESTAMP, RecordIterator, TimestampType, parse_header,
};
use crate::compression::{self, Compression};

/// The smallest length any message format has; below it the length itself must be wrong.
const MIN_BATCH_LENGTH: i32 = 14;
/// The first produce version whose clients know zstd.
const FIRST_ZSTD_VERSION: i16 = 7;

/// What the topic and the request allow.
#[derive(Debug, Clone, Copy)]
pub struct ProduceLimits {
    /// The version of the produce request.
    pub produce_version: i16,
    /// `max.message.bytes` of the topic.
    pub max_message_bytes: usize,
    /// Whether records must have keys: the topic is compacted.
    pub require_keys: bool,
    /// How far records may expand when they must be decompressed.
    pub max_decompressed_bytes: usize,
    /// `message.timestamp.type` of the topic.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    pub now_ms: i64,
}

impl Default for ProduceLimits {
    /// Kafka's defaults, at time 0.
    fn default() -> Self {
        Self {
            produce_version: FIRST_ZSTD_VERSION,
            max_message_bytes: 1024 * 1024 + LOG_OVERHEAD_BYTES,
            require_keys: false,
            max_decompressed_bytes: 64 * 1024 * 1024,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 60 * 60 * 1000,
            now_ms: 0,
        }
    }
}

/// Checks the records field of one partition in a produce request: exactly one sound batch.
///
/// The header that is returned is the batch's own, except that its max timestamp is what the records really say where
/// they could be read; the log writes that one.
pub fn validate_produced(bytes: &[u8], limits: &ProduceLimits) -> Result<BatchHeader, BatchError> {
    check_shape(bytes, limits)?;
    let mut header = parse_header(bytes)?;
    if header.base_offset != 0 {
        return Err(BatchError::BaseOffsetNotZero { base_offset: header.base_offset });
    }
    if bytes.len() > limits.max_message_bytes {
        return Err(BatchError::TooLarge { size: bytes.len(), max: limits.max_message_bytes });
    }
    super::verify_checksum(bytes, &header)?;
    check_header(&header)?;
    check_records(&mut header, bytes, limits)?;
    Ok(header)
}

/// Everything that needs no checksum: one complete batch, magic 2, a codec this request version may carry.
fn check_shape(bytes: &[u8], limits: &ProduceLimits) -> Result<(), BatchError> {
    let incomplete = BatchError::Incomplete { available: bytes.len() };
    let Some(length) = bytes.get(8..).and_then(|rest| rest.first_chunk()) else {
        return Err(incomplete);
    };
    let batch_length = i32::from_be_bytes(*length);
    if batch_length < MIN_BATCH_LENGTH {
        return Err(BatchError::LengthTooSmall { batch_length });
    }
    let Some(magic) = bytes.get(16).map(|byte| *byte as i8) else {
        return Err(incomplete);
    };
    if !(0..=CURRENT_MAGIC).contains(&magic) {
        return Err(BatchError::UnknownMagic { magic });
    }
    let size = batch_length as usize + LOG_OVERHEAD_BYTES;
    if bytes.len() < size {
        return Err(incomplete);
    }
    if magic != CURRENT_MAGIC {
        return Err(BatchError::OldMagic { magic });
    }
    if size < BATCH_HEADER_BYTES {
        return Err(BatchError::LengthTooSmall { batch_length });
    }
    let codec_id = bytes[CHECKSUMMED_FROM + 1] & 0x07;
    match Compression::from_id(codec_id) {
        None => return Err(BatchError::UnknownCompression { id: codec_id }),
        Some(Compression::Zstd) if limits.produce_version < FIRST_ZSTD_VERSION => {
            return Err(BatchError::ZstdTooEarly { version: limits.produce_version });
        }
        Some(_) => {}
    }
    if bytes.len() > size {
        return Err(BatchError::MoreThanOneBatch { extra: bytes.len() - size });
    }
    Ok(())
}

fn check_header(header: &BatchHeader) -> Result<(), BatchError> {
    let counts_agree = header.record_count > 0 && header.last_offset_delta == header.record_count - 1;
    if !counts_agree {
        return Err(BatchError::CountMismatch {
            record_count: header.record_count,
            last_offset_delta: header.last_offset_delta,
        });
    }
    if header.is_control() {
        return Err(BatchError::ControlFromClient);
    }
    if header.has_producer() && header.base_sequence < 0 {
        return Err(BatchError::NegativeSequence { base_sequence: header.base_sequence });
    }
    if header.is_transactional() && !(header.has_producer() && header.producer_epoch >= 0) {
        return Err(BatchError::TransactionalWithoutProducer);
    }
    Ok(())
}

fn check_records(header: &mut BatchHeader, bytes: &[u8], limits: &ProduceLimits) -> Result<(), BatchError> {
    let batch = Batch { header: *header, bytes };
    let timestamps = TimestampRange::new(limits);
    if limits.timestamp_type == TimestampType::LogAppendTime && header.timestamp_type() == TimestampType::LogAppendTime
    {
        return Err(BatchError::LogAppendTimeFromClient);
    }
    let readable = header.compression() == Some(Compression::None) || limits.require_keys;
    if !readable {
        if let Some(codec) = header.compression() {
            compression::check_start(codec, &bytes[BATCH_HEADER_BYTES..])?;
        }
        timestamps.check(header.base_timestamp)?;
        return timestamps.check(header.max_timestamp);
    }
    let payload = batch.payload(limits.max_decompressed_bytes)?;
    let mut records = RecordIterator::new(header, &payload);
    let mut max_timestamp = NO_TIMESTAMP;
    let mut index = 0;
    while let Some(record) = records.next_fields() {
        let record = record?;
        if usize::try_from(record.offset_delta) != Ok(index) {
            return Err(BatchError::MalformedRecord { index, reason: "the offset delta is not its position" });
        }
        if limits.require_keys && record.key.is_none() {
            return Err(BatchError::MissingKey { index });
        }
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        timestamps.check(timestamp)?;
        max_timestamp = max_timestamp.max(timestamp);
        index += 1;
    }
    header.max_timestamp = max_timestamp;
    Ok(())
}

/// The create times a topic accepts. A topic with log append time accepts any: it overwrites them.
struct TimestampRange {
    min: i64,
    max: i64,
}

impl TimestampRange {
    const fn new(limits: &ProduceLimits) -> Self {
        match limits.timestamp_type {
            TimestampType::LogAppendTime => Self { min: i64::MIN, max: i64::MAX },
            TimestampType::CreateTime => Self {
                min: limits.now_ms.saturating_sub(limits.timestamp_before_max_ms),
                max: limits.now_ms.saturating_add(limits.timestamp_after_max_ms),
            },
        }
    }

    fn check(&self, timestamp: i64) -> Result<(), BatchError> {
        let allowed = timestamp == NO_TIMESTAMP || (self.min <= timestamp && timestamp <= self.max);
        if allowed {
            return Ok(());
        }
        Err(BatchError::TimestampOutOfRange { timestamp, min: self.min, max: self.max })
    }
}
