//! A run of whole batches in a segment file, found under the log's lock and read outside of it.
//! Holds the file open, so that deleting the segment meanwhile does not disturb the reader.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::unix::fs::FileExt,
    sync::Arc,
};

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};

#[derive(Debug, Clone)]
pub struct Slice {
    pub(crate) file: Arc<File>,
    pub(crate) position: u64,
    pub(crate) length: usize,
    pub(crate) base_offset: i64,
    pub(crate) end_offset: i64,
}

impl Slice {
    /// The size in bytes, never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.length
    }

    /// The base offset of the first batch; may be below the offset that was asked for.
    pub fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// The offset after the last record.
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// All of it. Waits for the disk if need be.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut bytes: Vec<u8> = Vec::with_capacity(self.length);
        while bytes.len() < self.length {
            let position = self.position + bytes.len() as u64;
            // The spare room of a vector is not zeroed first: reading a megabyte would write it twice.
            match rustix::io::pread(&self.file, rustix::buffer::spare_capacity(&mut bytes), position) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(self.length);
        Ok(bytes.into())
    }

    /// Fills `target` from `offset` bytes into the slice. Waits for the disk if need be.
    pub fn read_exact_at(&self, offset: usize, target: &mut [u8]) -> io::Result<()> {
        self.check_range(offset, target.len())?;
        self.file.read_exact_at(target, self.position + offset as u64)
    }

    /// Fills `target` from `offset` bytes into the slice if all of it is in memory. Never waits for the disk;
    /// `false` means that `target` holds nothing of use and `read_exact_at` must be called where waiting is allowed.
    pub fn read_cached(&self, offset: usize, target: &mut [u8]) -> io::Result<bool> {
        self.check_range(offset, target.len())?;
        let wanted = target.len();
        let position = self.position + offset as u64;
        match rustix::io::preadv2(&self.file, &mut [IoSliceMut::new(target)], position, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read == wanted),
            // Not in memory, or a file system that cannot tell.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn check_range(&self, offset: usize, length: usize) -> io::Result<()> {
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.length);
        if fits {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "the range is outside of the slice"))
        }
    }
}
