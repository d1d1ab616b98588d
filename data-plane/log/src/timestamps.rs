//! Finding records by their timestamps. Reads batches, and decompresses the one that holds the answer.

use std::fs::File;

use millstream_protocol::record_batch::{Batch, BatchHeader, TimestampType};
use tracing::warn;

use crate::{
    Log,
    error::{ReadError, StorageError},
    index::IndexEntry,
    read::damaged,
    scanner::{BatchScanner, Found, SMALL_BUFFER_BYTES},
    segment::Segment,
};

/// A batch that expands to more than this is answered with its first offset instead of a record's.
const MAX_DECOMPRESSED_BYTES: usize = 64 << 20;

/// A record found by its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: i32,
}

impl Log {
    /// The first record, in the order of offsets, whose timestamp is at or after `timestamp`.
    pub fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampOffset>, ReadError> {
        for (number, segment) in self.segments.iter().enumerate() {
            let may_have_it = segment.max_timestamp >= timestamp && segment.next_offset > self.log_start_offset;
            if !may_have_it {
                continue;
            }
            let file = self.open_for_reading(number)?;
            let entry = segment.index.before_timestamp(timestamp);
            let found = match self.search(segment, &file, timestamp, entry) {
                Err(ReadError::Damaged { .. }) if entry != IndexEntry::START => {
                    self.search(segment, &file, timestamp, IndexEntry::START)?
                }
                other => other?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp, or `None` if no record has one.
    pub fn max_timestamp_offset(&self) -> Result<Option<TimestampOffset>, ReadError> {
        let readable = self.segments.iter().filter(|segment| segment.next_offset > self.log_start_offset);
        match readable.map(|segment| segment.max_timestamp).max() {
            Some(largest) if largest >= 0 => self.offset_for_timestamp(largest),
            _ => Ok(None),
        }
    }

    fn search(
        &self,
        segment: &Segment,
        file: &File,
        timestamp: i64,
        entry: IndexEntry,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let failed = |source| ReadError::from(StorageError::new("reading a segment", source));
        let mut buffer = [0; SMALL_BUFFER_BYTES];
        let mut scanner = BatchScanner::new(file, u64::from(entry.position), segment.size, &mut buffer);
        let mut expected = Some(segment.base_offset + i64::from(entry.relative_offset));
        loop {
            match scanner.header().map_err(failed)? {
                Found::Batch(header) => {
                    if expected.take().is_some_and(|expected| expected != header.base_offset) {
                        return Err(damaged(segment, scanner.position(), "another batch than expected is here"));
                    }
                    if header.max_timestamp >= timestamp && header.last_offset() >= self.log_start_offset {
                        let bytes = scanner.read_batch(&header).map_err(failed)?;
                        let found = find_record(&header, &bytes, timestamp, self.log_start_offset);
                        if found.is_some() {
                            return Ok(found);
                        }
                    }
                    scanner.skip(&header);
                }
                Found::End => return Ok(None),
                Found::Damaged(reason) => return Err(damaged(segment, scanner.position(), reason)),
            }
        }
    }
}

fn find_record(header: &BatchHeader, bytes: &[u8], timestamp: i64, from_offset: i64) -> Option<TimestampOffset> {
    let leader_epoch = header.partition_leader_epoch;
    let first =
        TimestampOffset { timestamp: header.max_timestamp, offset: header.base_offset.max(from_offset), leader_epoch };
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Some(first);
    }
    let batch = Batch { header: *header, bytes };
    let payload = match batch.payload(MAX_DECOMPRESSED_BYTES) {
        Ok(payload) => payload,
        Err(error) => {
            warn!(batch.base_offset = header.base_offset, %error, "a batch cannot be read, its first offset answers a timestamp query");
            return Some(first);
        }
    };
    batch
        .records(&payload)
        .map_while(Result::ok)
        .find(|record| record.timestamp >= timestamp && record.offset >= from_offset)
        .map(|record| TimestampOffset { timestamp: record.timestamp, offset: record.offset, leader_epoch })
}
