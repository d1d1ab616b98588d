//! The snapshot on disk: what raft needs to know about it, then the image.
//!
//! ```text
//! 0   8 bytes  "MSRAFT\0\x01": the last byte is the version
//! 8   u32      length of the meta, big-endian
//! 12  u32      CRC-32C of the meta
//! 16           meta: openraft's SnapshotMeta as JSON, bounded
//!              image: see `crate::snapshot`, with checksums of its own
//! ```

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use openraft::{BasicNode, LogId, SnapshotMeta};

use crate::image::MetadataImage;
use crate::raft::VoterId;
use crate::raft::files::{self, Layout, StartError, io_error};
use crate::snapshot::{self, SnapshotError};

pub(crate) type Meta = SnapshotMeta<VoterId, BasicNode>;

const MAGIC: &[u8; 7] = b"MSRAFT\0";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 16;
/// The most bytes of the meta: a log id and a membership.
const MAX_META_BYTES: usize = 64 * 1024;
/// The most bytes of a snapshot, also of one that another voter sends.
pub(crate) const MAX_SNAPSHOT_BYTES: u64 = 1024 * 1024 * 1024;

/// A snapshot, decoded.
#[derive(Debug)]
pub(crate) struct StoredSnapshot {
    pub(crate) meta: Meta,
    pub(crate) image: MetadataImage,
}

/// The snapshot file of a voter. Clones share it: whoever writes last, the newest snapshot stays.
#[derive(Clone)]
pub(crate) struct SnapshotFile {
    path: PathBuf,
    /// Held while the file is replaced: the position of the snapshot in it.
    position: Arc<Mutex<Option<LogId<VoterId>>>>,
}

impl SnapshotFile {
    pub(crate) fn new(path: PathBuf, stored: Option<&StoredSnapshot>) -> Self {
        let position = stored.and_then(|stored| stored.meta.last_log_id);
        Self { path, position: Arc::new(Mutex::new(position)) }
    }

    /// Puts a snapshot in the place of the one before, unless that is newer. Blocking.
    pub(crate) fn write(&self, meta: &Meta, image_bytes: &[u8]) -> io::Result<()> {
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        if meta.last_log_id < *position {
            return Ok(());
        }
        let encoded = serde_json::to_vec(meta).map_err(io::Error::other)?;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        header.push(VERSION);
        header.extend_from_slice(&(encoded.len() as u32).to_be_bytes());
        header.extend_from_slice(&crc32c::crc32c(&encoded).to_be_bytes());
        files::write_durably(&self.path, &[&header, &encoded, image_bytes])?;
        *position = meta.last_log_id;
        Ok(())
    }

    /// The snapshot as it is sent to other voters. Blocking.
    pub(crate) fn read(&self) -> io::Result<Option<(Meta, Vec<u8>)>> {
        let Some(mut bytes) = files::read_bounded(&self.path, MAX_SNAPSHOT_BYTES)? else { return Ok(None) };
        let (meta, image) = split(&bytes).map_err(io::Error::other)?;
        let image_start = bytes.len() - image.len();
        bytes.drain(..image_start);
        Ok(Some((meta, bytes)))
    }
}

/// Reads the snapshot when the group starts, if there is one.
pub(crate) fn load(layout: &Layout) -> Result<Option<StoredSnapshot>, StartError> {
    let file = &layout.snapshot;
    let bytes = match files::read_bounded(file, MAX_SNAPSHOT_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(error) => return Err(io_error("read", file)(error)),
    };
    let newer = |found: u8, supported: u8| StartError::NewerVersion {
        file: file.clone(),
        found: u32::from(found),
        supported: u32::from(supported),
    };
    let (meta, image) = split(&bytes).map_err(|error| match error {
        HeaderError::NewerVersion { version } => newer(version, VERSION),
        error => layout.damaged(file, error.to_string()),
    })?;
    match snapshot::decode(image) {
        Ok(image) => Ok(Some(StoredSnapshot { meta, image })),
        Err(SnapshotError::NewerVersion { version }) => Err(newer(version, snapshot::SNAPSHOT_VERSION)),
        Err(error) => Err(layout.damaged(file, error.to_string())),
    }
}

#[derive(Debug, thiserror::Error)]
enum HeaderError {
    #[error("it is not a snapshot")]
    NotASnapshot,
    #[error("it has version {version}")]
    NewerVersion { version: u8 },
    #[error("its header is wrong")]
    Damaged,
}

fn split(bytes: &[u8]) -> Result<(Meta, &[u8]), HeaderError> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(HeaderError::NotASnapshot);
    };
    if !header.starts_with(MAGIC) {
        return Err(HeaderError::NotASnapshot);
    }
    if header[7] != VERSION {
        return Err(HeaderError::NewerVersion { version: header[7] });
    }
    let be_u32 = |bytes: &[u8]| bytes[..4].iter().fold(0u32, |value, byte| (value << 8) | u32::from(*byte));
    let meta_length = be_u32(&header[8..]) as usize;
    if meta_length > MAX_META_BYTES || meta_length > rest.len() {
        return Err(HeaderError::Damaged);
    }
    let (meta, image) = rest.split_at(meta_length);
    if crc32c::crc32c(meta) != be_u32(&header[12..]) {
        return Err(HeaderError::Damaged);
    }
    let meta = serde_json::from_slice(meta).map_err(|_| HeaderError::Damaged)?;
    Ok((meta, image))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(index: u64) -> Meta {
        let log_id = LogId::new(openraft::CommittedLeaderId::new(1, 1), index);
        Meta { last_log_id: Some(log_id), last_membership: Default::default(), snapshot_id: index.to_string() }
    }

    #[test]
    fn the_newest_snapshot_stays_whoever_writes_last() {
        let directory = tempfile::tempdir().unwrap();
        let file = SnapshotFile::new(directory.path().join("snapshot"), None);
        file.write(&meta(7), b"seven").unwrap();
        file.write(&meta(5), b"five").unwrap();
        let (stored, image) = file.read().unwrap().unwrap();
        assert_eq!((stored, image.as_slice()), (meta(7), &b"seven"[..]));
    }

    #[test]
    fn reading_any_bytes_ends_without_a_panic() {
        bolero::check!().with_type::<Vec<u8>>().for_each(|bytes| {
            let _ = split(bytes);
            let mut with_magic = MAGIC.to_vec();
            with_magic.push(VERSION);
            with_magic.extend_from_slice(bytes);
            let _ = split(&with_magic);
        });
    }
}
