//! What can go wrong, one enum per operation.

use std::{io, path::PathBuf};

use millstream_protocol::error_code::ErrorCode;
use thiserror::Error;

/// The disk failed, or the log is no longer in use.
#[derive(Debug, Error)]
pub enum StorageError {
    #[error("the log is closed")]
    Closed,
    #[error("the log is offline after an earlier disk error: look at the disk, then restart the broker")]
    Poisoned,
    #[error("the disk is full")]
    DiskFull(#[source] io::Error),
    #[error("{operation} failed")]
    Io {
        operation: &'static str,
        #[source]
        source: io::Error,
    },
}

impl StorageError {
    /// Names a full disk as such: it is the operator's to fix and nothing is damaged.
    pub(crate) fn new(operation: &'static str, source: io::Error) -> Self {
        if is_disk_full(&source) { Self::DiskFull(source) } else { Self::Io { operation, source } }
    }
}

pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

#[derive(Debug, Error)]
pub enum AppendError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the batch is malformed: {reason}")]
    Malformed { reason: &'static str },
    #[error("the batch has {size} bytes, segment.bytes allows {segment_bytes}")]
    TooLargeForSegment { size: usize, segment_bytes: u64 },
    #[error("leader epoch {offered} is older than {current}")]
    StaleLeaderEpoch { offered: i32, current: i32 },
    #[error("producer {producer_id} has epoch {offered}, but epoch {current} was seen already")]
    InvalidProducerEpoch { producer_id: i64, offered: i16, current: i16 },
    #[error("producer {producer_id} sent sequence {offered} instead of {expected}")]
    OutOfOrderSequence { producer_id: i64, offered: i32, expected: i32 },
    #[error("coordinator epoch {offered} of producer {producer_id} is older than {current}")]
    CoordinatorFenced { producer_id: i64, offered: i32, current: i32 },
}

impl AppendError {
    /// What a produce response says about the partition.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Storage(_) => ErrorCode::KafkaStorageError,
            Self::Malformed { .. } => ErrorCode::InvalidRecord,
            Self::TooLargeForSegment { .. } => ErrorCode::RecordListTooLarge,
            Self::StaleLeaderEpoch { .. } => ErrorCode::NotLeaderOrFollower,
            Self::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            Self::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        }
    }
}

#[derive(Debug, Error)]
pub enum ReadError {
    #[error("offset {offset} is not between {log_start_offset} and {log_end_offset}")]
    OutOfRange { offset: i64, log_start_offset: i64, log_end_offset: i64 },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the segment at offset {base_offset} is damaged at position {position}: {reason}")]
    Damaged { base_offset: i64, position: u64, reason: &'static str },
}

#[derive(Debug, Error)]
pub enum OpenError {
    #[error("cannot read or write {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} was written by a newer version (format {found}, this version knows {known}): upgrade before starting"
    )]
    NewerFormat { path: PathBuf, found: u16, known: u16 },
    #[error(
        "{path} ends at offset {end_offset}, but everything below {recovery_point} was on disk: records are missing; open for repair to keep what is left"
    )]
    Damaged { path: PathBuf, end_offset: i64, recovery_point: i64 },
}

#[derive(Debug, Error)]
#[error("closing the log did not finish, the next start will check it")]
pub struct CloseError(#[from] pub StorageError);
