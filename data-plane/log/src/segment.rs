//! One segment: a log file with the batches from a base offset on, its index and its aborted transactions.
//! Only the last segment of a log is appended to; the others never change again.

use std::{
    fs::File,
    io::{self, IoSlice},
    path::Path,
    sync::Arc,
};

use millstream_protocol::record_batch::{BatchHeader, NO_TIMESTAMP};
use rustix::io::Errno;

use crate::{
    aborted::AbortedIndex,
    index::{Index, IndexEntry},
    segment_file::{FileKind, SegmentFile},
};

/// A batch in a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located {
    pub position: u64,
    pub size: u64,
    pub base_offset: i64,
    pub end_offset: i64,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub base_offset: i64,
    pub next_offset: i64,
    pub size: u64,
    /// The largest timestamp of all batches, or -1.
    pub max_timestamp: i64,
    /// When the first batch was appended, by its own timestamp if it has one; decides the roll by age.
    pub first_timestamp: Option<i64>,
    /// The newest batch, which is what a reader at the end of the log asks for.
    pub newest: Option<Located>,
    pub log: Arc<SegmentFile>,
    pub index: Index,
    pub aborted: AbortedIndex,
}

impl Segment {
    /// A segment without files.
    pub(crate) fn empty(directory: &Arc<Path>, base_offset: i64) -> Self {
        Self {
            base_offset,
            next_offset: base_offset,
            size: 0,
            max_timestamp: NO_TIMESTAMP,
            first_timestamp: None,
            newest: None,
            log: Arc::new(SegmentFile::new(directory, base_offset, FileKind::Log)),
            index: Index::empty(directory, base_offset),
            aborted: AbortedIndex::empty(directory, base_offset),
        }
    }

    /// Creates the log file of a segment that begins here, emptying what a failed attempt may have left.
    pub(crate) fn create(directory: &Arc<Path>, base_offset: i64) -> io::Result<Self> {
        let segment = Self::empty(directory, base_offset);
        segment.index.remove()?;
        segment.aborted.remove()?;
        let emptied = segment.log.open_or_create().and_then(|file| file.set_len(0));
        if let Err(error) = emptied {
            // Left behind, an empty file inside the range of another segment would look like damage.
            let _ = segment.log.remove();
            return Err(error);
        }
        Ok(segment)
    }

    /// Writes the pieces of one batch at the end, in one call, and moves the end. On an error the segment is as before,
    /// but the file may have grown: the caller cuts it.
    pub(crate) fn append(
        &mut self,
        pieces: [&[u8]; 2],
        header: &BatchHeader,
        index_interval_bytes: usize,
        now_ms: i64,
    ) -> io::Result<()> {
        let file = self.log.open()?;
        write_pieces(&file, pieces, self.size)?;
        let since_last_entry = self.size - u64::from(self.index.last().position);
        if since_last_entry >= index_interval_bytes as u64 {
            self.index.push(self.end_entry());
        }
        self.note_appended(header, now_ms);
        Ok(())
    }

    /// Moves the end over a batch that is in the file.
    pub(crate) fn note_appended(&mut self, header: &BatchHeader, now_ms: i64) {
        if self.first_timestamp.is_none() {
            self.first_timestamp = Some(if header.max_timestamp >= 0 { header.max_timestamp } else { now_ms });
        }
        let size = header.size_bytes() as u64;
        self.newest = Some(Located {
            position: self.size,
            size,
            base_offset: header.base_offset,
            end_offset: header.next_offset(),
        });
        self.size += size;
        self.next_offset = header.next_offset();
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
    }

    /// The index entry for the batch that comes next.
    pub(crate) fn end_entry(&self) -> IndexEntry {
        // Rolling keeps offsets and positions of a segment within 31 bits.
        IndexEntry {
            relative_offset: (self.next_offset - self.base_offset) as u32,
            position: self.size as u32,
            max_timestamp_before: self.max_timestamp,
        }
    }

    /// Completes the index and writes it.
    pub(crate) fn seal_index(&mut self) -> io::Result<()> {
        self.index.push(self.end_entry());
        self.index.write()
    }

    /// How far a relative offset is from the base, for the index. Offsets below the base count as the base.
    pub(crate) fn relative(&self, offset: i64) -> u32 {
        u32::try_from(offset.saturating_sub(self.base_offset).max(0)).unwrap_or(u32::MAX)
    }

    /// Gives the file descriptors back.
    pub(crate) fn release_files(&self) {
        self.log.release();
        self.index.file.release();
    }

    /// Deletes the files, the log last: without it the others mean nothing.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.index.remove()?;
        self.aborted.remove()?;
        self.log.remove()
    }
}

fn write_pieces(file: &File, pieces: [&[u8]; 2], position: u64) -> io::Result<()> {
    let total = pieces[0].len() + pieces[1].len();
    let mut written = 0;
    while written < total {
        let first = pieces[0].get(written..).unwrap_or_default();
        let second = &pieces[1][written.saturating_sub(pieces[0].len())..];
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        match rustix::io::pwritev(file, &slices, position + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
