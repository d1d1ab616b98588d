//! The journal of a shard as a partition log on disk: one batch for each append, so that a crash leaves whole appends.

use std::path::Path;

use millstream_log::{Log, LogConfig, MinOneBatch, OpenMode};
use millstream_protocol::record_batch::{BatchBuilder, BatchIterator, NewRecord, parse_header};

use super::journal::{Journal, JournalError, Visit};
use super::record::EncodedRecord;

/// Snapshots cut the log long before a segment is full; a segment must hold the largest group twice over.
const SEGMENT_BYTES: u64 = 128 * 1024 * 1024;
/// Bytes read at once when replaying. One larger batch is read whole.
const REPLAY_BYTES: usize = 1024 * 1024;
/// The shard has one writer for ever, so its log has one leader epoch.
const LEADER_EPOCH: i32 = 0;
/// No limit.
const UNLIMITED: i64 = -1;

/// A journal on disk.
pub struct LogJournal {
    log: Log,
}

impl LogJournal {
    /// Opens or creates the log in a directory. Always checks its end: it is short.
    pub fn open(directory: &Path, now_ms: i64) -> Result<Self, JournalError> {
        let config = LogConfig {
            segment_bytes: SEGMENT_BYTES,
            segment_ms: i64::MAX,
            retention_ms: UNLIMITED,
            retention_bytes: UNLIMITED,
            ..LogConfig::default()
        };
        let (log, _recovery) = Log::open(directory, config, OpenMode::Unclean, now_ms)?;
        Ok(Self { log })
    }
}

impl Journal for LogJournal {
    fn append(&mut self, records: &[EncodedRecord], now_ms: i64) -> Result<(), JournalError> {
        let mut builder = BatchBuilder::new();
        for record in records {
            builder.append(NewRecord {
                timestamp: now_ms,
                key: Some(&record.key),
                value: record.value.as_deref(),
                headers: &[],
            });
        }
        let batch = builder.build()?;
        let header = parse_header(&batch)?;
        self.log.append(&batch, &header, LEADER_EPOCH, now_ms)?;
        Ok(())
    }

    fn replay(&self, from: i64, visit: &mut Visit<'_>) -> Result<(), JournalError> {
        let first = self.log.log_start_offset();
        if from < first {
            return Err(JournalError::Missing { wanted: from, first });
        }
        let end_offset = self.log.log_end_offset();
        let mut next = from;
        while next < end_offset {
            let Some(slice) = self.log.read(next, REPLAY_BYTES, MinOneBatch::Yes, end_offset)? else { break };
            let bytes = slice.read().map_err(JournalError::ReadFile)?;
            for batch in BatchIterator::new(&bytes) {
                let batch = batch?;
                batch.verify_checksum()?;
                let payload = batch.payload(batch.bytes.len())?;
                for record in batch.records(&payload) {
                    let record = record?;
                    if record.offset >= from {
                        visit(record.offset, record.key.unwrap_or_default(), record.value)?;
                    }
                }
            }
            next = slice.end_offset();
        }
        Ok(())
    }

    fn end_offset(&self) -> i64 {
        self.log.log_end_offset()
    }

    fn cut_point(&mut self) -> Result<i64, JournalError> {
        self.log.roll()?;
        Ok(self.log.log_end_offset())
    }

    fn discard_before(&mut self, offset: i64) -> Result<(), JournalError> {
        self.log.delete_records_before(offset)?;
        Ok(())
    }

    fn close(&mut self) -> Result<(), JournalError> {
        self.log.close()?;
        Ok(())
    }
}
