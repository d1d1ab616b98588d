//! One file of a segment, opened when it is first needed and closed again when many others are.
//! The name is the segment's base offset in twenty digits, so that names sort like offsets.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::disk;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Log,
    Index,
    Aborted,
}

impl FileKind {
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::Index => ".index",
            Self::Aborted => ".txnindex",
        }
    }
}

#[derive(Debug)]
pub(crate) struct SegmentFile {
    directory: Arc<Path>,
    base_offset: i64,
    kind: FileKind,
    handle: Mutex<Option<Arc<File>>>,
}

impl SegmentFile {
    /// Names the file; touches nothing.
    pub(crate) fn new(directory: &Arc<Path>, base_offset: i64, kind: FileKind) -> Self {
        Self { directory: Arc::clone(directory), base_offset, kind, handle: Mutex::new(None) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(file_name(self.base_offset, self.kind.suffix()))
    }

    /// The open file, which must exist.
    pub(crate) fn open(&self) -> io::Result<Arc<File>> {
        self.open_with(OpenOptions::new().read(true).write(true))
    }

    /// The open file, created empty if it is not there.
    pub(crate) fn open_or_create(&self) -> io::Result<Arc<File>> {
        self.open_with(OpenOptions::new().read(true).write(true).create(true).truncate(false))
    }

    /// A handle that is not kept, for files that are needed now and then; `None` if there is no such file.
    pub(crate) fn open_once(&self) -> io::Result<Option<Arc<File>>> {
        if let Some(file) = self.lock().as_ref() {
            return Ok(Some(Arc::clone(file)));
        }
        match OpenOptions::new().read(true).write(true).open(self.path()) {
            Ok(file) => Ok(Some(Arc::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    /// Gives the descriptor back. Readers that hold the file keep it.
    pub(crate) fn release(&self) {
        *self.lock() = None;
    }

    /// The size on disk; a missing file has none.
    pub(crate) fn size_on_disk(&self) -> io::Result<u64> {
        match std::fs::metadata(self.path()) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        self.release();
        disk::remove_if_there(&self.path())
    }

    fn open_with(&self, options: &OpenOptions) -> io::Result<Arc<File>> {
        let mut handle = self.lock();
        if let Some(file) = handle.as_ref() {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(options.open(self.path())?);
        *handle = Some(Arc::clone(&file));
        Ok(file)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<File>>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn file_name(offset: i64, suffix: &str) -> String {
    format!("{offset:020}{suffix}")
}

/// The offset in a file name with this suffix.
pub(crate) fn offset_in_name(name: &str, suffix: &str) -> Option<i64> {
    let digits = name.strip_suffix(suffix)?;
    let well_formed = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed { digits.parse().ok() } else { None }
}
