//! Why a record batch was refused, each with the Kafka error code the client is told.

use thiserror::Error;

use crate::{compression::CompressionError, error_code::ErrorCode};

#[derive(Debug, Error)]
pub enum BatchError {
    #[error("there is no complete record batch in {available} bytes")]
    Incomplete { available: usize },
    #[error("the batch length {batch_length} is below the minimum")]
    LengthTooSmall { batch_length: i32 },
    #[error("the magic value {magic} is unknown")]
    UnknownMagic { magic: i8 },
    #[error(
        "only record batches with magic value 2 are allowed, this one has {magic}: use a client of version 0.11 or newer"
    )]
    OldMagic { magic: i8 },
    #[error("compression type {id} is unknown")]
    UnknownCompression { id: u8 },
    #[error("zstd needs produce version 7 or newer, this is version {version}")]
    ZstdTooEarly { version: i16 },
    #[error("exactly one record batch per partition is allowed, {extra} bytes follow the first")]
    MoreThanOneBatch { extra: usize },
    #[error("the base offset of a produced batch must be 0, it is {base_offset}")]
    BaseOffsetNotZero { base_offset: i64 },
    #[error("the batch has {size} bytes, max.message.bytes allows {max}")]
    TooLarge { size: usize, max: usize },
    #[error("the stored checksum {stored:#010x} does not match the computed {computed:#010x}")]
    WrongChecksum { stored: u32, computed: u32 },
    #[error("the batch says {record_count} records but its last offset delta is {last_offset_delta}")]
    CountMismatch { record_count: i32, last_offset_delta: i32 },
    #[error("clients may not write control records")]
    ControlFromClient,
    #[error("base sequence {base_sequence} is not valid with a producer id")]
    NegativeSequence { base_sequence: i32 },
    #[error("a transactional batch needs a producer id and a producer epoch")]
    TransactionalWithoutProducer,
    #[error("record {index}: {reason}")]
    MalformedRecord { index: usize, reason: &'static str },
    #[error("record {index} has no key, and this topic is compacted")]
    MissingKey { index: usize },
    #[error(
        "timestamp {timestamp} is out of range: message.timestamp.before.max.ms and message.timestamp.after.max.ms allow {min} to {max}"
    )]
    TimestampOutOfRange { timestamp: i64, min: i64, max: i64 },
    #[error("a producer may not set the timestamp type to LogAppendTime")]
    LogAppendTimeFromClient,
    #[error("the records cannot be decompressed")]
    Decompress(#[from] CompressionError),
}

impl BatchError {
    /// What a produce response says about the partition.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::LengthTooSmall { .. } | Self::UnknownMagic { .. } | Self::WrongChecksum { .. } => {
                ErrorCode::CorruptMessage
            }
            Self::UnknownCompression { .. } | Self::ZstdTooEarly { .. } => ErrorCode::UnsupportedCompressionType,
            Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::TimestampOutOfRange { .. } | Self::LogAppendTimeFromClient => ErrorCode::InvalidTimestamp,
            Self::Incomplete { .. }
            | Self::OldMagic { .. }
            | Self::MoreThanOneBatch { .. }
            | Self::BaseOffsetNotZero { .. }
            | Self::CountMismatch { .. }
            | Self::ControlFromClient
            | Self::NegativeSequence { .. }
            | Self::TransactionalWithoutProducer
            | Self::MalformedRecord { .. }
            | Self::MissingKey { .. }
            | Self::Decompress(_) => ErrorCode::InvalidRecord,
        }
    }
}
