//! Reading: find where an offset is, and how far the reader may go. No records are read here.

use std::{fs::File, io, sync::Arc};

use crate::{
    Log, Slice,
    error::{ReadError, StorageError},
    index::IndexEntry,
    scanner::{BatchScanner, Found, SMALL_BUFFER_BYTES},
    segment::{Located, Segment},
};

/// Whether the first batch is returned even if it is larger than the limit: without that a consumer would never get
/// past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinOneBatch {
    Yes,
    No,
}

impl Log {
    /// Finds whole batches from the one that holds `offset`, at most `max_bytes` of them, none that reaches to `upper` or
    /// above. `None` if there is nothing to return: the offset is at the end or at `upper`, or the first batch is too
    /// large.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one: MinOneBatch,
        upper: i64,
    ) -> Result<Option<Slice>, ReadError> {
        let is_outside = offset < self.log_start_offset || offset > self.log_end_offset;
        if is_outside {
            return Err(ReadError::OutOfRange {
                offset,
                log_start_offset: self.log_start_offset,
                log_end_offset: self.log_end_offset,
            });
        }
        if offset >= upper.min(self.log_end_offset) {
            return Ok(None);
        }
        let Some(number) = self.segment_index(offset) else { return Ok(None) };
        let segment = &self.segments[number];
        let file = self.open_for_reading(number)?;
        let Some(first) = locate(segment, &file, offset)? else { return Ok(None) };
        if first.end_offset > upper {
            return Ok(None);
        }

        let room = (max_bytes as u64).min(segment.size - first.position);
        if first.size > room {
            let returns_it = min_one == MinOneBatch::Yes;
            return Ok(returns_it.then(|| first.slice(file, first.size, first.end_offset)));
        }
        let (end_position, end_offset) = self.find_end(segment, &file, &first, room, upper)?;
        Ok(Some(first.slice(file, end_position - first.position, end_offset)))
    }

    /// Aborted transactions (producer id and first offset, in the order of first offsets) that a reader of committed
    /// records needs to know between two offsets.
    pub fn aborted_transactions(&self, from: i64, upper: i64) -> Result<Vec<(i64, i64)>, ReadError> {
        let mut found = Vec::new();
        let first = self.segment_index(from).unwrap_or(0);
        for segment in &self.segments[first..] {
            let entries =
                segment.aborted.load().map_err(|source| StorageError::new("reading the transaction index", source))?;
            for entry in entries {
                if entry.last_offset >= from && entry.first_offset < upper {
                    found.push((entry.producer_id, entry.first_offset));
                }
                // No later marker can belong to a transaction that began below this.
                if entry.last_stable_offset >= upper {
                    found.sort_unstable_by_key(|(_, first_offset)| *first_offset);
                    return Ok(found);
                }
            }
        }
        found.sort_unstable_by_key(|(_, first_offset)| *first_offset);
        Ok(found)
    }

    pub(crate) fn open_for_reading(&self, number: usize) -> Result<Arc<File>, StorageError> {
        let segment = &self.segments[number];
        let is_closed = number + 1 < self.segments.len();
        if is_closed && !segment.log.is_open() {
            self.note_open_closed(segment);
        }
        segment.log.open().map_err(|source| StorageError::new("opening a segment", source))
    }

    /// The end of the last whole batch within `room` bytes of the first and below `upper`.
    fn find_end(
        &self,
        segment: &Segment,
        file: &File,
        first: &Located,
        room: u64,
        upper: i64,
    ) -> Result<(u64, i64), ReadError> {
        let limit = first.position + room;
        let takes_all = limit == segment.size && segment.next_offset <= upper;
        if takes_all {
            return Ok((segment.size, segment.next_offset));
        }
        let after_first = (first.position + first.size, first.end_offset);
        // The index tells a batch boundary near the limit; from there it is a few headers.
        let mut nearest = segment.index.before_position(limit);
        if segment.base_offset + i64::from(nearest.relative_offset) > upper {
            nearest = segment.index.before_offset(segment.relative(upper));
        }
        if u64::from(nearest.position) <= after_first.0 {
            return extend(segment, file, after_first, limit, upper);
        }
        let boundary = (u64::from(nearest.position), segment.base_offset + i64::from(nearest.relative_offset));
        match extend(segment, file, boundary, limit, upper) {
            Err(ReadError::Damaged { .. }) => extend(segment, file, after_first, limit, upper),
            other => other,
        }
    }
}

/// Moves an end (position and offset) over whole batches, as far as they stay below the limits.
fn extend(
    segment: &Segment,
    file: &File,
    mut end: (u64, i64),
    limit: u64,
    upper: i64,
) -> Result<(u64, i64), ReadError> {
    let mut buffer = [0; SMALL_BUFFER_BYTES];
    let mut scanner = BatchScanner::new(file, end.0, segment.size, &mut buffer);
    loop {
        match scanner.header().map_err(|source| StorageError::new("reading a segment", source))? {
            Found::Batch(header) => {
                if header.base_offset < end.1 {
                    return Err(damaged(segment, scanner.position(), "another batch than expected is here"));
                }
                let batch_end = scanner.position() + header.size_bytes() as u64;
                if batch_end > limit || header.next_offset() > upper {
                    return Ok(end);
                }
                end = (batch_end, header.next_offset());
                scanner.skip(&header);
            }
            Found::End => return Ok(end),
            Found::Damaged(reason) => return Err(damaged(segment, scanner.position(), reason)),
        }
    }
}

impl Located {
    fn slice(&self, file: Arc<File>, length: u64, end_offset: i64) -> Slice {
        Slice { file, position: self.position, length: length as usize, base_offset: self.base_offset, end_offset }
    }
}

/// The first batch whose last offset is at or above `offset`, if the segment has one.
pub(crate) fn locate(segment: &Segment, file: &File, offset: i64) -> Result<Option<Located>, ReadError> {
    if let Some(newest) = segment.newest
        && newest.base_offset <= offset
        && offset < newest.end_offset
    {
        return Ok(Some(newest));
    }
    let entry = segment.index.before_offset(segment.relative(offset));
    match locate_from(segment, file, offset, entry) {
        // The index may be wrong, the log may not: search without it before giving up.
        Err(ReadError::Damaged { .. }) if entry != IndexEntry::START => {
            tracing::warn!(segment.base_offset, position = entry.position, "an index entry points to no batch");
            locate_from(segment, file, offset, IndexEntry::START)
        }
        other => other,
    }
}

fn locate_from(segment: &Segment, file: &File, offset: i64, entry: IndexEntry) -> Result<Option<Located>, ReadError> {
    let mut buffer = [0; SMALL_BUFFER_BYTES];
    let mut scanner = BatchScanner::new(file, u64::from(entry.position), segment.size, &mut buffer);
    let mut expected = Some(segment.base_offset + i64::from(entry.relative_offset));
    loop {
        match scanner.header().map_err(|source: io::Error| StorageError::new("reading a segment", source))? {
            Found::Batch(header) => {
                // Checked for the batch the index named; later ones follow by their lengths.
                if expected.take().is_some_and(|expected| expected != header.base_offset) {
                    return Err(damaged(segment, scanner.position(), "another batch than expected is here"));
                }
                if header.last_offset() >= offset {
                    return Ok(Some(Located {
                        position: scanner.position(),
                        size: header.size_bytes() as u64,
                        base_offset: header.base_offset,
                        end_offset: header.next_offset(),
                    }));
                }
                scanner.skip(&header);
            }
            Found::End => return Ok(None),
            Found::Damaged(reason) => return Err(damaged(segment, scanner.position(), reason)),
        }
    }
}

pub(crate) fn damaged(segment: &Segment, position: u64, reason: &'static str) -> ReadError {
    ReadError::Damaged { base_offset: segment.base_offset, position, reason }
}
